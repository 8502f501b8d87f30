//! Object identifiers: those this crate knows, as raw contents octets, and their names.
//!
//! An identifier is compared as bytes everywhere; dotted text is made only to be shown. The names are
//! OpenSSL's short or long ones where OpenSSL has one, else those of the RFC that defines the identifier.
//! Deliberately no judgment here: that a name stands in a table says nothing about its strength.

/// How many octets these arcs take.
const fn encoded_length(arcs: &[u64]) -> usize {
    let mut length = 1;
    let mut index = 1;
    while index < arcs.len() {
        let mut rest = if index == 1 { arcs[0] * 40 + arcs[1] } else { arcs[index] };
        while rest >= 0x80 {
            rest >>= 7;
            length += 1;
        }
        if index > 1 {
            length += 1;
        }
        index += 1;
    }
    length
}

/// The contents octets of an OBJECT IDENTIFIER (X.690 section 8.19), at compile time.
const fn encoded<const N: usize>(arcs: &[u64]) -> [u8; N] {
    let mut out = [0; N];
    let mut at = N;
    let mut index = arcs.len() - 1;
    while index >= 1 {
        let mut rest = if index == 1 { arcs[0] * 40 + arcs[1] } else { arcs[index] };
        at -= 1;
        out[at] = (rest & 0x7f) as u8;
        rest >>= 7;
        while rest > 0 {
            at -= 1;
            out[at] = (rest & 0x7f) as u8 | 0x80;
            rest >>= 7;
        }
        index -= 1;
    }
    out
}

macro_rules! oid {
    ($($arc:expr),+) => {{
        const ARCS: &[u64] = &[$($arc),+];
        const BYTES: [u8; encoded_length(ARCS)] = encoded(ARCS);
        const SLICE: &[u8] = &BYTES;
        SLICE
    }};
}

macro_rules! named {
    ($($(#[$doc:meta])* $name:ident = $($arc:literal)+;)+) => {
        $($(#[$doc])* pub const $name: &[u8] = oid!($($arc),+);)+
    };
}

named! {
    /// subjectKeyIdentifier, RFC 5280 section 4.2.1.2.
    SUBJECT_KEY_ID = 2 5 29 14;
    /// keyUsage, RFC 5280 section 4.2.1.3.
    KEY_USAGE = 2 5 29 15;
    /// subjectAltName, RFC 5280 section 4.2.1.6.
    SUBJECT_ALT_NAME = 2 5 29 17;
    /// issuerAltName, RFC 5280 section 4.2.1.7.
    ISSUER_ALT_NAME = 2 5 29 18;
    /// basicConstraints, RFC 5280 section 4.2.1.9.
    BASIC_CONSTRAINTS = 2 5 29 19;
    /// cRLNumber, RFC 5280 section 5.2.3.
    CRL_NUMBER = 2 5 29 20;
    /// reasonCode of a CRL entry, RFC 5280 section 5.3.1.
    REASON_CODE = 2 5 29 21;
    /// invalidityDate of a CRL entry, RFC 5280 section 5.3.2.
    INVALIDITY_DATE = 2 5 29 24;
    /// deltaCRLIndicator, RFC 5280 section 5.2.4.
    DELTA_CRL_INDICATOR = 2 5 29 27;
    /// issuingDistributionPoint, RFC 5280 section 5.2.5.
    ISSUING_DISTRIBUTION_POINT = 2 5 29 28;
    /// certificateIssuer of a CRL entry, RFC 5280 section 5.3.3.
    CERTIFICATE_ISSUER = 2 5 29 29;
    /// nameConstraints, RFC 5280 section 4.2.1.10.
    NAME_CONSTRAINTS = 2 5 29 30;
    /// cRLDistributionPoints, RFC 5280 section 4.2.1.13.
    CRL_DISTRIBUTION_POINTS = 2 5 29 31;
    /// certificatePolicies, RFC 5280 section 4.2.1.4.
    CERTIFICATE_POLICIES = 2 5 29 32;
    /// policyMappings, RFC 5280 section 4.2.1.5.
    POLICY_MAPPINGS = 2 5 29 33;
    /// authorityKeyIdentifier, RFC 5280 section 4.2.1.1.
    AUTHORITY_KEY_ID = 2 5 29 35;
    /// policyConstraints, RFC 5280 section 4.2.1.11.
    POLICY_CONSTRAINTS = 2 5 29 36;
    /// extKeyUsage, RFC 5280 section 4.2.1.12.
    EXTENDED_KEY_USAGE = 2 5 29 37;
    /// freshestCRL, RFC 5280 section 4.2.1.15.
    FRESHEST_CRL = 2 5 29 46;
    /// inhibitAnyPolicy, RFC 5280 section 4.2.1.14.
    INHIBIT_ANY_POLICY = 2 5 29 54;
    /// authorityInfoAccess, RFC 5280 section 4.2.2.1.
    AUTHORITY_INFO_ACCESS = 1 3 6 1 5 5 7 1 1;
    /// subjectInfoAccess, RFC 5280 section 4.2.2.2.
    SUBJECT_INFO_ACCESS = 1 3 6 1 5 5 7 1 11;
    /// TLS features ("must staple"), RFC 7633.
    TLS_FEATURE = 1 3 6 1 5 5 7 1 24;
    /// id-ad-ocsp, RFC 5280 section 4.2.2.1.
    ACCESS_OCSP = 1 3 6 1 5 5 7 48 1;
    /// id-pkix-ocsp-basic, RFC 6960 section 4.2.1.
    OCSP_BASIC = 1 3 6 1 5 5 7 48 1 1;
    /// id-ad-caIssuers, RFC 5280 section 4.2.2.1.
    ACCESS_CA_ISSUERS = 1 3 6 1 5 5 7 48 2;
    /// id-pkix-ocsp-nocheck, RFC 6960 section 4.2.2.2.1.
    OCSP_NO_CHECK = 1 3 6 1 5 5 7 48 1 5;
    /// Embedded signed certificate timestamps, RFC 6962 section 3.3.
    SCT_LIST = 1 3 6 1 4 1 11129 2 4 2;
    /// The poison of a precertificate, RFC 6962 section 3.1.
    CT_POISON = 1 3 6 1 4 1 11129 2 4 3;
    /// Netscape certificate type, obsolete and still issued.
    NETSCAPE_CERT_TYPE = 2 16 840 1 113730 1 1;
    /// extensionRequest of a CSR, RFC 2985 section 5.4.2.
    EXTENSION_REQUEST = 1 2 840 113549 1 9 14;
    /// Microsoft's extension request of a CSR.
    MICROSOFT_EXTENSION_REQUEST = 1 3 6 1 4 1 311 2 1 14;

    /// commonName.
    COMMON_NAME = 2 5 4 3;
    /// organizationName.
    ORGANIZATION = 2 5 4 10;
    /// emailAddress in a name, RFC 2985 section 5.2.1.
    EMAIL_ADDRESS = 1 2 840 113549 1 9 1;
    /// friendlyName of a PKCS#12 bag, RFC 2985 section 5.5.1.
    FRIENDLY_NAME = 1 2 840 113549 1 9 20;
    /// localKeyID of a PKCS#12 bag, RFC 2985 section 5.5.2.
    LOCAL_KEY_ID = 1 2 840 113549 1 9 21;

    /// serverAuth.
    SERVER_AUTH = 1 3 6 1 5 5 7 3 1;
    /// clientAuth.
    CLIENT_AUTH = 1 3 6 1 5 5 7 3 2;
    /// codeSigning.
    CODE_SIGNING = 1 3 6 1 5 5 7 3 3;
    /// emailProtection.
    EMAIL_PROTECTION = 1 3 6 1 5 5 7 3 4;
    /// timeStamping.
    TIME_STAMPING = 1 3 6 1 5 5 7 3 8;
    /// OCSPSigning.
    OCSP_SIGNING = 1 3 6 1 5 5 7 3 9;
    /// anyExtendedKeyUsage.
    ANY_EXTENDED_KEY_USAGE = 2 5 29 37 0;

    /// rsaEncryption, RFC 8017.
    RSA = 1 2 840 113549 1 1 1;
    /// id-RSASSA-PSS, RFC 8017.
    RSASSA_PSS = 1 2 840 113549 1 1 10;
    /// id-mgf1, RFC 8017.
    MGF1 = 1 2 840 113549 1 1 8;
    /// id-dsa, RFC 3279.
    DSA = 1 2 840 10040 4 1;
    /// id-ecPublicKey, RFC 5480.
    EC_PUBLIC_KEY = 1 2 840 10045 2 1;
    /// prime-field, ANSI X9.62.
    PRIME_FIELD = 1 2 840 10045 1 1;
    /// secp256r1.
    P256 = 1 2 840 10045 3 1 7;
    /// secp384r1.
    P384 = 1 3 132 0 34;
    /// secp521r1.
    P521 = 1 3 132 0 35;
    /// secp256k1.
    SECP256K1 = 1 3 132 0 10;
    /// The curve of SM2 (GB/T 32918.5).
    SM2 = 1 2 156 10197 1 301;
    /// X25519, RFC 8410.
    X25519 = 1 3 101 110;
    /// X448, RFC 8410.
    X448 = 1 3 101 111;
    /// Ed25519, RFC 8410.
    ED25519 = 1 3 101 112;
    /// Ed448, RFC 8410.
    ED448 = 1 3 101 113;
    /// ML-DSA-44, RFC 9881.
    ML_DSA_44 = 2 16 840 1 101 3 4 3 17;
    /// ML-DSA-65, RFC 9881.
    ML_DSA_65 = 2 16 840 1 101 3 4 3 18;
    /// ML-DSA-87, RFC 9881.
    ML_DSA_87 = 2 16 840 1 101 3 4 3 19;
    /// sha1WithRSAEncryption.
    SHA1_RSA = 1 2 840 113549 1 1 5;
    /// sha256WithRSAEncryption.
    SHA256_RSA = 1 2 840 113549 1 1 11;
    /// sha384WithRSAEncryption.
    SHA384_RSA = 1 2 840 113549 1 1 12;
    /// sha512WithRSAEncryption.
    SHA512_RSA = 1 2 840 113549 1 1 13;
    /// sha1WithRSA of OIW, an old alias of sha1WithRSAEncryption.
    SHA1_RSA_OIW = 1 3 14 3 2 29;
    /// ecdsa-with-SHA1.
    ECDSA_SHA1 = 1 2 840 10045 4 1;
    /// ecdsa-with-SHA224.
    ECDSA_SHA224 = 1 2 840 10045 4 3 1;
    /// ecdsa-with-SHA256.
    ECDSA_SHA256 = 1 2 840 10045 4 3 2;
    /// ecdsa-with-SHA384.
    ECDSA_SHA384 = 1 2 840 10045 4 3 3;
    /// ecdsa-with-SHA512.
    ECDSA_SHA512 = 1 2 840 10045 4 3 4;
    /// id-sha1.
    SHA1 = 1 3 14 3 2 26;
    /// id-sha256.
    SHA256 = 2 16 840 1 101 3 4 2 1;
    /// id-sha384.
    SHA384 = 2 16 840 1 101 3 4 2 2;
    /// id-sha512.
    SHA512 = 2 16 840 1 101 3 4 2 3;
    /// id-sha224.
    SHA224 = 2 16 840 1 101 3 4 2 4;

    /// PKCS#7 data, RFC 5652 section 4.
    PKCS7_DATA = 1 2 840 113549 1 7 1;
    /// PKCS#7 signedData, RFC 5652 section 5.
    PKCS7_SIGNED_DATA = 1 2 840 113549 1 7 2;
    /// PKCS#7 envelopedData, RFC 5652 section 6.
    PKCS7_ENVELOPED_DATA = 1 2 840 113549 1 7 3;
    /// PKCS#7 encryptedData, RFC 5652 section 8.
    PKCS7_ENCRYPTED_DATA = 1 2 840 113549 1 7 6;
    /// id-messageDigest, RFC 5652 section 11.2.
    MESSAGE_DIGEST = 1 2 840 113549 1 9 4;
    /// id-signingTime, RFC 5652 section 11.3.
    SIGNING_TIME = 1 2 840 113549 1 9 5;
    /// id-countersignature, RFC 5652 section 11.4.
    COUNTERSIGNATURE = 1 2 840 113549 1 9 6;
    /// id-ct-TSTInfo, RFC 3161 section 2.4.2.
    TST_INFO = 1 2 840 113549 1 9 16 1 4;
    /// id-aa-timeStampToken, RFC 3161 appendix A.
    TIMESTAMP_TOKEN = 1 2 840 113549 1 9 16 2 14;
    /// The RFC 3161 timestamp of Authenticode.
    MICROSOFT_TIMESTAMP_TOKEN = 1 3 6 1 4 1 311 3 3 1;
    /// A further signature within one of Authenticode.
    MICROSOFT_NESTED_SIGNATURE = 1 3 6 1 4 1 311 2 4 1;
    /// Lifetime signing: signatures end with the certificate, timestamp or not.
    MICROSOFT_LIFETIME_SIGNING = 1 3 6 1 4 1 311 10 3 13;
}

/// The dotted text of an identifier given as contents octets: `2.5.4.3`. Arcs past 128 bits and broken
/// encodings come out as `oid:` and hex, cut after 64 octets: the text is always short and safe to print.
pub fn dotted(oid: &[u8]) -> String {
    let hex = || {
        let shown = oid.get(..64).unwrap_or(oid);
        let rest = if shown.len() < oid.len() { "..." } else { "" };
        format!("oid:{}{rest}", crate::fingerprint::hex(shown))
    };
    if oid.is_empty() || oid.len() > 64 || oid.last().is_some_and(|octet| octet & 0x80 != 0) {
        return hex();
    }
    let mut out = String::new();
    let mut arc = 0u128;
    for octet in oid {
        if arc >> 120 != 0 {
            return hex();
        }
        arc = arc << 7 | u128::from(octet & 0x7f);
        if octet & 0x80 == 0 {
            if out.is_empty() {
                let first = (arc / 40).min(2);
                out = format!("{first}.{}", arc - first * 40);
            } else {
                out.push('.');
                out.push_str(&arc.to_string());
            }
            arc = 0;
        }
    }
    out
}

/// The name of an identifier in a table.
fn lookup(table: &[(&'static [u8], &'static str)], oid: &[u8]) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == oid).map(|(_, name)| *name)
}

/// The name of an attribute type of a distinguished name, as OpenSSL abbreviates it: `CN`, `emailAddress`.
pub fn attribute_name(oid: &[u8]) -> Option<&'static str> {
    lookup(ATTRIBUTES, oid)
}

/// The name of a signature algorithm: `sha256WithRSAEncryption`, `ecdsa-with-SHA256`, `ML-DSA-65`.
pub fn signature_name(oid: &[u8]) -> Option<&'static str> {
    lookup(SIGNATURES, oid).or_else(|| lookup(POST_QUANTUM, oid))
}

/// The name of a public key algorithm: `RSA`, `ECDSA`, `Ed25519`, `ML-DSA-65`.
pub fn key_algorithm_name(oid: &[u8]) -> Option<&'static str> {
    lookup(KEYS, oid).or_else(|| lookup(POST_QUANTUM, oid))
}

/// The name of an extended key usage: `serverAuth`.
pub fn key_purpose_name(oid: &[u8]) -> Option<&'static str> {
    lookup(PURPOSES, oid)
}

/// The name of a named curve and its size in bits: `("P-256", 256)`.
pub fn curve(oid: &[u8]) -> Option<(&'static str, u32)> {
    CURVES.iter().find(|(known, _, _)| *known == oid).map(|(_, name, bits)| (*name, *bits))
}

/// The name of an extension: `subjectAltName`.
pub fn extension_name(oid: &[u8]) -> Option<&'static str> {
    lookup(EXTENSIONS, oid)
}

const EXTENSIONS: &[(&[u8], &str)] = &[
    (SUBJECT_KEY_ID, "subjectKeyIdentifier"),
    (KEY_USAGE, "keyUsage"),
    (SUBJECT_ALT_NAME, "subjectAltName"),
    (ISSUER_ALT_NAME, "issuerAltName"),
    (BASIC_CONSTRAINTS, "basicConstraints"),
    (NAME_CONSTRAINTS, "nameConstraints"),
    (CRL_DISTRIBUTION_POINTS, "cRLDistributionPoints"),
    (CERTIFICATE_POLICIES, "certificatePolicies"),
    (POLICY_MAPPINGS, "policyMappings"),
    (AUTHORITY_KEY_ID, "authorityKeyIdentifier"),
    (POLICY_CONSTRAINTS, "policyConstraints"),
    (EXTENDED_KEY_USAGE, "extKeyUsage"),
    (FRESHEST_CRL, "freshestCRL"),
    (INHIBIT_ANY_POLICY, "inhibitAnyPolicy"),
    (AUTHORITY_INFO_ACCESS, "authorityInfoAccess"),
    (SUBJECT_INFO_ACCESS, "subjectInfoAccess"),
    (TLS_FEATURE, "tlsFeature"),
    (OCSP_NO_CHECK, "ocspNoCheck"),
    (SCT_LIST, "signedCertificateTimestampList"),
    (CT_POISON, "precertificatePoison"),
    (NETSCAPE_CERT_TYPE, "netscapeCertType"),
];

const ATTRIBUTES: &[(&[u8], &str)] = &[
    (COMMON_NAME, "CN"),
    (oid!(2, 5, 4, 6), "C"),
    (ORGANIZATION, "O"),
    (oid!(2, 5, 4, 11), "OU"),
    (oid!(2, 5, 4, 7), "L"),
    (oid!(2, 5, 4, 8), "ST"),
    (EMAIL_ADDRESS, "emailAddress"),
    (oid!(2, 5, 4, 4), "SN"),
    (oid!(2, 5, 4, 5), "serialNumber"),
    (oid!(2, 5, 4, 9), "street"),
    (oid!(2, 5, 4, 12), "title"),
    (oid!(2, 5, 4, 13), "description"),
    (oid!(2, 5, 4, 14), "searchGuide"),
    (oid!(2, 5, 4, 15), "businessCategory"),
    (oid!(2, 5, 4, 16), "postalAddress"),
    (oid!(2, 5, 4, 17), "postalCode"),
    (oid!(2, 5, 4, 18), "postOfficeBox"),
    (oid!(2, 5, 4, 19), "physicalDeliveryOfficeName"),
    (oid!(2, 5, 4, 20), "telephoneNumber"),
    (oid!(2, 5, 4, 31), "member"),
    (oid!(2, 5, 4, 32), "owner"),
    (oid!(2, 5, 4, 41), "name"),
    (oid!(2, 5, 4, 42), "GN"),
    (oid!(2, 5, 4, 43), "initials"),
    (oid!(2, 5, 4, 44), "generationQualifier"),
    (oid!(2, 5, 4, 45), "x500UniqueIdentifier"),
    (oid!(2, 5, 4, 46), "dnQualifier"),
    (oid!(2, 5, 4, 51), "houseIdentifier"),
    (oid!(2, 5, 4, 54), "dmdName"),
    (oid!(2, 5, 4, 65), "pseudonym"),
    (oid!(2, 5, 4, 72), "role"),
    (oid!(2, 5, 4, 97), "organizationIdentifier"),
    (oid!(2, 5, 4, 98), "c3"),
    (oid!(2, 5, 4, 99), "n3"),
    (oid!(2, 5, 4, 100), "dnsName"),
    (oid!(0, 9, 2342, 19200300, 100, 1, 1), "UID"),
    (oid!(0, 9, 2342, 19200300, 100, 1, 3), "mail"),
    (oid!(0, 9, 2342, 19200300, 100, 1, 25), "DC"),
    (oid!(1, 2, 840, 113549, 1, 9, 2), "unstructuredName"),
    (oid!(1, 2, 840, 113549, 1, 9, 8), "unstructuredAddress"),
    (FRIENDLY_NAME, "friendlyName"),
    (oid!(1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 1), "jurisdictionL"),
    (oid!(1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 2), "jurisdictionST"),
    (oid!(1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 3), "jurisdictionC"),
    (oid!(1, 2, 643, 3, 131, 1, 1), "INN"),
    (oid!(1, 2, 643, 100, 1), "OGRN"),
    (oid!(1, 2, 643, 100, 3), "SNILS"),
];

const SIGNATURES: &[(&[u8], &str)] = &[
    (SHA256_RSA, "sha256WithRSAEncryption"),
    (ECDSA_SHA256, "ecdsa-with-SHA256"),
    (ECDSA_SHA384, "ecdsa-with-SHA384"),
    (SHA384_RSA, "sha384WithRSAEncryption"),
    (SHA512_RSA, "sha512WithRSAEncryption"),
    (SHA1_RSA, "sha1WithRSAEncryption"),
    (RSASSA_PSS, "rsassaPss"),
    (ED25519, "Ed25519"),
    (ED448, "Ed448"),
    (ECDSA_SHA512, "ecdsa-with-SHA512"),
    (ECDSA_SHA224, "ecdsa-with-SHA224"),
    (ECDSA_SHA1, "ecdsa-with-SHA1"),
    (oid!(1, 2, 840, 113549, 1, 1, 2), "md2WithRSAEncryption"),
    (oid!(1, 2, 840, 113549, 1, 1, 3), "md4WithRSAEncryption"),
    (oid!(1, 2, 840, 113549, 1, 1, 4), "md5WithRSAEncryption"),
    (oid!(1, 2, 840, 113549, 1, 1, 14), "sha224WithRSAEncryption"),
    (oid!(1, 2, 840, 113549, 1, 1, 15), "sha512-224WithRSAEncryption"),
    (oid!(1, 2, 840, 113549, 1, 1, 16), "sha512-256WithRSAEncryption"),
    (oid!(1, 3, 14, 3, 2, 3), "md5WithRSA"),
    (oid!(1, 3, 14, 3, 2, 15), "shaWithRSAEncryption"),
    (SHA1_RSA_OIW, "sha1WithRSA"),
    (oid!(1, 3, 14, 3, 2, 27), "dsaWithSHA1-old"),
    (oid!(1, 3, 36, 3, 3, 1, 2), "ripemd160WithRSA"),
    (oid!(1, 2, 840, 10040, 4, 3), "dsaWithSHA1"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 1), "dsa_with_SHA224"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 2), "dsa_with_SHA256"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 3), "dsa_with_SHA384"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 4), "dsa_with_SHA512"),
    (oid!(1, 2, 840, 10045, 4, 2), "ecdsa-with-Recommended"),
    (oid!(1, 2, 840, 10045, 4, 3), "ecdsa-with-Specified"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 9), "ecdsa_with_SHA3-224"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 10), "ecdsa_with_SHA3-256"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 11), "ecdsa_with_SHA3-384"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 12), "ecdsa_with_SHA3-512"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 13), "RSA-SHA3-224"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 14), "RSA-SHA3-256"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 15), "RSA-SHA3-384"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 16), "RSA-SHA3-512"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 30), "rsassaPss-SHAKE128"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 31), "rsassaPss-SHAKE256"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 32), "ecdsa-with-SHAKE128"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 33), "ecdsa-with-SHAKE256"),
    (oid!(1, 2, 156, 10197, 1, 501), "SM2-with-SM3"),
    (oid!(1, 2, 156, 10197, 1, 502), "SM2-with-SHA1"),
    (oid!(1, 2, 156, 10197, 1, 503), "SM2-with-SHA256"),
    (oid!(1, 2, 156, 10197, 1, 504), "RSA-SM3"),
    (oid!(1, 2, 643, 2, 2, 3), "GOST R 34.11-94 with GOST R 34.10-2001"),
    (oid!(1, 2, 643, 2, 2, 4), "GOST R 34.11-94 with GOST R 34.10-94"),
    (oid!(1, 2, 643, 7, 1, 1, 3, 2), "GOST R 34.10-2012 with GOST R 34.11-2012 (256 bit)"),
    (oid!(1, 2, 643, 7, 1, 1, 3, 3), "GOST R 34.10-2012 with GOST R 34.11-2012 (512 bit)"),
    (oid!(1, 2, 804, 2, 1, 1, 1, 1, 3, 1, 1), "DSTU 4145 with GOST 34.311"),
    (oid!(0, 4, 0, 127, 0, 7, 1, 1, 4, 1, 3), "ecdsa-plain-SHA256"),
    (oid!(0, 4, 0, 127, 0, 7, 1, 1, 4, 1, 4), "ecdsa-plain-SHA384"),
    (oid!(0, 4, 0, 127, 0, 7, 1, 1, 4, 1, 5), "ecdsa-plain-SHA512"),
];

/// Algorithms whose key and signature share one identifier, all but a few post-quantum.
const POST_QUANTUM: &[(&[u8], &str)] = &[
    (ML_DSA_44, "ML-DSA-44"),
    (ML_DSA_65, "ML-DSA-65"),
    (ML_DSA_87, "ML-DSA-87"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 20), "SLH-DSA-SHA2-128s"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 21), "SLH-DSA-SHA2-128f"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 22), "SLH-DSA-SHA2-192s"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 23), "SLH-DSA-SHA2-192f"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 24), "SLH-DSA-SHA2-256s"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 25), "SLH-DSA-SHA2-256f"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 26), "SLH-DSA-SHAKE-128s"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 27), "SLH-DSA-SHAKE-128f"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 28), "SLH-DSA-SHAKE-192s"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 29), "SLH-DSA-SHAKE-192f"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 30), "SLH-DSA-SHAKE-256s"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 31), "SLH-DSA-SHAKE-256f"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 32), "HashML-DSA-44-SHA512"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 33), "HashML-DSA-65-SHA512"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 3, 34), "HashML-DSA-87-SHA512"),
    (oid!(1, 2, 840, 113549, 1, 9, 16, 3, 17), "HSS-LMS"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 34), "XMSS"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 35), "XMSSMT"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 37), "MLDSA44-RSA2048-PSS-SHA256"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 38), "MLDSA44-RSA2048-PKCS15-SHA256"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 39), "MLDSA44-Ed25519-SHA512"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 40), "MLDSA44-ECDSA-P256-SHA256"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 41), "MLDSA65-RSA3072-PSS-SHA512"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 42), "MLDSA65-RSA3072-PKCS15-SHA512"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 43), "MLDSA65-RSA4096-PSS-SHA512"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 44), "MLDSA65-RSA4096-PKCS15-SHA512"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 45), "MLDSA65-ECDSA-P256-SHA512"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 46), "MLDSA65-ECDSA-P384-SHA512"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 47), "MLDSA65-ECDSA-brainpoolP256r1-SHA512"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 48), "MLDSA65-Ed25519-SHA512"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 49), "MLDSA87-ECDSA-P384-SHA512"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 50), "MLDSA87-ECDSA-brainpoolP384r1-SHA512"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 51), "MLDSA87-Ed448-SHAKE256"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 52), "MLDSA87-RSA3072-PSS-SHA512"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 53), "MLDSA87-RSA4096-PSS-SHA512"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 6, 54), "MLDSA87-ECDSA-P521-SHA512"),
    (oid!(1, 3, 9999, 3, 6), "Falcon-512"),
    (oid!(1, 3, 9999, 3, 9), "Falcon-1024"),
    (oid!(1, 3, 6, 1, 4, 1, 2, 267, 7, 4, 4), "Dilithium2"),
    (oid!(1, 3, 6, 1, 4, 1, 2, 267, 7, 6, 5), "Dilithium3"),
    (oid!(1, 3, 6, 1, 4, 1, 2, 267, 7, 8, 7), "Dilithium5"),
];

const KEYS: &[(&[u8], &str)] = &[
    (RSA, "RSA"),
    (EC_PUBLIC_KEY, "ECDSA"),
    (ED25519, "Ed25519"),
    (ED448, "Ed448"),
    (X25519, "X25519"),
    (X448, "X448"),
    (DSA, "DSA"),
    // The key of RSASSA-PSS and RSAES-OAEP is an RSA key; the identifier only restricts its use.
    (RSASSA_PSS, "RSA"),
    (oid!(1, 2, 840, 113549, 1, 1, 7), "RSA"),
    (oid!(2, 5, 8, 1, 1), "RSA"),
    (oid!(1, 2, 840, 10046, 2, 1), "DH"),
    (oid!(1, 2, 840, 113549, 1, 3, 1), "DH"),
    (oid!(1, 3, 132, 1, 12), "ECDH"),
    (oid!(1, 3, 132, 1, 13), "ECMQV"),
    (oid!(1, 3, 14, 3, 2, 12), "DSA"),
    (oid!(1, 2, 643, 2, 2, 19), "GOST R 34.10-2001"),
    (oid!(1, 2, 643, 2, 2, 20), "GOST R 34.10-94"),
    (oid!(1, 2, 643, 7, 1, 1, 1, 1), "GOST R 34.10-2012 (256 bit)"),
    (oid!(1, 2, 643, 7, 1, 1, 1, 2), "GOST R 34.10-2012 (512 bit)"),
    (oid!(1, 2, 804, 2, 1, 1, 1, 1, 3, 1, 1), "DSTU 4145"),
    (SM2, "SM2"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 4, 1), "ML-KEM-512"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 4, 2), "ML-KEM-768"),
    (oid!(2, 16, 840, 1, 101, 3, 4, 4, 3), "ML-KEM-1024"),
];

const CURVES: &[(&[u8], &str, u32)] = &[
    (P256, "P-256", 256),
    (P384, "P-384", 384),
    (P521, "P-521", 521),
    (SECP256K1, "secp256k1", 256),
    (SM2, "SM2", 256),
    (oid!(1, 3, 132, 0, 33), "P-224", 224),
    (oid!(1, 2, 840, 10045, 3, 1, 1), "P-192", 192),
    (oid!(1, 2, 840, 10045, 3, 1, 2), "prime192v2", 192),
    (oid!(1, 2, 840, 10045, 3, 1, 3), "prime192v3", 192),
    (oid!(1, 2, 840, 10045, 3, 1, 4), "prime239v1", 239),
    (oid!(1, 2, 840, 10045, 3, 1, 5), "prime239v2", 239),
    (oid!(1, 2, 840, 10045, 3, 1, 6), "prime239v3", 239),
    (oid!(1, 3, 132, 0, 6), "secp112r1", 112),
    (oid!(1, 3, 132, 0, 7), "secp112r2", 112),
    (oid!(1, 3, 132, 0, 8), "secp160r1", 160),
    (oid!(1, 3, 132, 0, 9), "secp160k1", 160),
    (oid!(1, 3, 132, 0, 28), "secp128r1", 128),
    (oid!(1, 3, 132, 0, 29), "secp128r2", 128),
    (oid!(1, 3, 132, 0, 30), "secp160r2", 160),
    (oid!(1, 3, 132, 0, 31), "secp192k1", 192),
    (oid!(1, 3, 132, 0, 32), "secp224k1", 224),
    (oid!(1, 3, 132, 0, 1), "sect163k1", 163),
    (oid!(1, 3, 132, 0, 15), "sect163r2", 163),
    (oid!(1, 3, 132, 0, 26), "sect233k1", 233),
    (oid!(1, 3, 132, 0, 27), "sect233r1", 233),
    (oid!(1, 3, 132, 0, 16), "sect283k1", 283),
    (oid!(1, 3, 132, 0, 17), "sect283r1", 283),
    (oid!(1, 3, 132, 0, 36), "sect409k1", 409),
    (oid!(1, 3, 132, 0, 37), "sect409r1", 409),
    (oid!(1, 3, 132, 0, 38), "sect571k1", 571),
    (oid!(1, 3, 132, 0, 39), "sect571r1", 571),
    (oid!(1, 3, 36, 3, 3, 2, 8, 1, 1, 1), "brainpoolP160r1", 160),
    (oid!(1, 3, 36, 3, 3, 2, 8, 1, 1, 3), "brainpoolP192r1", 192),
    (oid!(1, 3, 36, 3, 3, 2, 8, 1, 1, 5), "brainpoolP224r1", 224),
    (oid!(1, 3, 36, 3, 3, 2, 8, 1, 1, 7), "brainpoolP256r1", 256),
    (oid!(1, 3, 36, 3, 3, 2, 8, 1, 1, 8), "brainpoolP256t1", 256),
    (oid!(1, 3, 36, 3, 3, 2, 8, 1, 1, 9), "brainpoolP320r1", 320),
    (oid!(1, 3, 36, 3, 3, 2, 8, 1, 1, 11), "brainpoolP384r1", 384),
    (oid!(1, 3, 36, 3, 3, 2, 8, 1, 1, 12), "brainpoolP384t1", 384),
    (oid!(1, 3, 36, 3, 3, 2, 8, 1, 1, 13), "brainpoolP512r1", 512),
    (oid!(1, 3, 36, 3, 3, 2, 8, 1, 1, 14), "brainpoolP512t1", 512),
];

const PURPOSES: &[(&[u8], &str)] = &[
    (SERVER_AUTH, "serverAuth"),
    (CLIENT_AUTH, "clientAuth"),
    (CODE_SIGNING, "codeSigning"),
    (EMAIL_PROTECTION, "emailProtection"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 3, 5), "ipsecEndSystem"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 3, 6), "ipsecTunnel"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 3, 7), "ipsecUser"),
    (TIME_STAMPING, "timeStamping"),
    (OCSP_SIGNING, "OCSPSigning"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 3, 10), "dvcs"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 3, 17), "ipsecIKE"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 3, 21), "secureShellClient"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 3, 22), "secureShellServer"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 3, 27), "cmcCA"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 3, 28), "cmcRA"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 3, 31), "brandIndicatorforMessageIdentification"),
    (oid!(1, 3, 6, 1, 5, 5, 7, 3, 36), "documentSigning"),
    (ANY_EXTENDED_KEY_USAGE, "anyExtendedKeyUsage"),
    (oid!(1, 3, 6, 1, 5, 2, 3, 4), "pkInitClientAuth"),
    (oid!(1, 3, 6, 1, 5, 2, 3, 5), "pkInitKDC"),
    (oid!(1, 3, 6, 1, 4, 1, 311, 2, 1, 21), "msCodeInd"),
    (oid!(1, 3, 6, 1, 4, 1, 311, 2, 1, 22), "msCodeCom"),
    (oid!(1, 3, 6, 1, 4, 1, 311, 10, 3, 3), "msSGC"),
    (oid!(1, 3, 6, 1, 4, 1, 311, 10, 3, 4), "msEFS"),
    (oid!(1, 3, 6, 1, 4, 1, 311, 10, 3, 12), "msDocumentSigning"),
    (oid!(1, 3, 6, 1, 4, 1, 311, 20, 2, 2), "msSmartcardLogin"),
    (oid!(2, 16, 840, 1, 113730, 4, 1), "nsSGC"),
    (oid!(1, 3, 6, 1, 4, 1, 11129, 2, 4, 4), "precertificateSigning"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(oid: &[u8], text: &str) {
        assert_eq!(dotted(oid), text);
    }

    #[test]
    fn dotted_text() {
        check(COMMON_NAME, "2.5.4.3");
        check(SHA256_RSA, "1.2.840.113549.1.1.11");
        check(SHA256_RSA, "1.2.840.113549.1.1.11");
        check(oid!(2, 999, 3), "2.999.3");
        check(oid!(0, 9, 2342, 19200300, 100, 1, 25), "0.9.2342.19200300.100.1.25");
        check(&[], "oid:");
        check(&[0x55, 0x84], "oid:5584");
        check(&[0xff; 20], "oid:ffffffffffffffffffffffffffffffffffffffff");
        assert!(dotted(&vec![0x55; 100_000_000]).len() < 200);
        assert_eq!(SHA256_RSA, [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11]);
        assert_eq!(P384, [0x2b, 0x81, 0x04, 0, 0x22]);
    }

    #[test]
    fn no_identifier_stands_in_a_table_twice() {
        for table in [ATTRIBUTES, SIGNATURES, POST_QUANTUM, KEYS, PURPOSES, EXTENSIONS] {
            let mut oids: Vec<_> = table.iter().map(|(oid, _)| *oid).collect();
            oids.sort_unstable();
            let before = oids.len();
            oids.dedup();
            assert_eq!(oids.len(), before);
        }
    }
}
