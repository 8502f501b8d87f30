//! The providers of the crate `dns-update`, one row each: what lego calls them and their variables, and how their clients are
//! made.
//!
//! Names and lifetimes of records are those of lego's documentation (go-acme.github.io/lego/dns, version 5), so that what was
//! written for lego goes on. Where `dns-update` wants something that lego finds out by itself, the name is ours; the guide
//! says which. Nothing is decided here.

use std::collections::HashMap;
use std::time::Duration;

use dns_update::providers::azuredns::{AzureDnsConfig, AzureEnvironment};
use dns_update::providers::bluecatv2::BluecatV2Config;
use dns_update::providers::edgedns::EdgeDnsConfig;
use dns_update::providers::google_cloud_dns::GoogleCloudDnsConfig;
use dns_update::providers::infoblox::InfobloxConfig;
use dns_update::providers::joker::JokerAuth;
use dns_update::providers::lightsail::LightsailConfig;
use dns_update::providers::oraclecloud::OracleCloudConfig;
use dns_update::providers::ovh::OvhEndpoint;
use dns_update::providers::route53::Route53Config;
use dns_update::providers::volcengine::VolcengineConfig;
use dns_update::providers::yandexcloud::YandexCloudConfig;
use dns_update::{DnsUpdater, Error};

use super::api::{EXCHANGE, Row, Shape};
use super::provider::{Plain, Values};

/// For each of their exchanges.
const PATIENCE: Option<Duration> = Some(EXCHANGE);

/// The provider of this name.
pub(super) fn find(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name || row.aliases.contains(&name))
}

fn own(v: &Values, setting: &str) -> Option<String> {
    v.opt(setting).map(str::to_owned)
}

fn number(v: &Values, setting: &str) -> dns_update::Result<Option<u32>> {
    v.opt(setting)
        .map(|text| text.parse().map_err(|_| Error::Client(format!("`{setting}` is no number"))))
        .transpose()
}

fn azure_cloud(v: &Values) -> dns_update::Result<AzureEnvironment> {
    match v.opt("cloud") {
        None => Ok(AzureEnvironment::Public),
        Some(word) if ["public", "china", "usgovernment"].contains(&word) => {
            Ok(AzureEnvironment::from_str_lossy(word))
        }
        Some(_) => Err(Error::Client("`cloud` is public, usgovernment or china".to_owned())),
    }
}

/// `example.org:token1,my.example.org:token2`.
fn tokens(v: &Values) -> dns_update::Result<HashMap<String, String>> {
    let pair = |text: &str| {
        let (host, token) = text.trim().split_once(':')?;
        (!host.is_empty() && !token.is_empty()).then(|| (host.to_ascii_lowercase(), token.to_owned()))
    };
    let pairs: Option<HashMap<_, _>> = v.get("tokens").split(',').map(pair).collect();
    pairs.ok_or_else(|| Error::Client("`tokens` is HOST:TOKEN,HOST:TOKEN".to_owned()))
}

fn joker(v: &Values) -> dns_update::Result<JokerAuth> {
    if v.opt("mode").is_some_and(|mode| !mode.eq_ignore_ascii_case("DMAPI")) {
        return Err(Error::Client("only the mode DMAPI is spoken".to_owned()));
    }
    match (v.opt("api_key"), v.opt("username"), v.opt("password")) {
        (Some(key), ..) => Ok(JokerAuth::api_key(key)),
        (None, Some(username), Some(password)) => Ok(JokerAuth::username_password(username, password)),
        _ => Err(Error::Client("it needs `api_key`, or `username` and `password`".to_owned())),
    }
}

/// Every provider, by name.
#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row {
        name: "alidns",
        aliases: &[],
        ttl: 600,
        shape: Shape::Set,
        fields: &[Plain::text("access_key", &["ALICLOUD_ACCESS_KEY"]), Plain::secret("secret_key", &["ALICLOUD_SECRET_KEY"]), Plain::secret("session_token", &["ALICLOUD_SECURITY_TOKEN"]).optional(), Plain::text("region", &["ALICLOUD_REGION_ID"]).optional(), Plain::text("line", &["ALICLOUD_LINE"]).optional()],
        build: |v| DnsUpdater::new_alidns(v.get("access_key"), v.get("secret_key"), v.opt("region"), v.opt("session_token"), v.opt("line"), PATIENCE),
    },
    Row {
        name: "arvancloud",
        aliases: &[],
        ttl: 600,
        shape: Shape::Set,
        fields: &[Plain::secret("api_key", &["ARVANCLOUD_API_KEY"])],
        build: |v| DnsUpdater::new_arvancloud(v.get("api_key"), PATIENCE),
    },
    Row {
        name: "autodns",
        aliases: &[],
        ttl: 600,
        shape: Shape::Set,
        fields: &[Plain::text("username", &["AUTODNS_API_USER"]), Plain::secret("password", &["AUTODNS_API_PASSWORD"]), Plain::text("context", &["AUTODNS_CONTEXT"]).optional()],
        build: |v| DnsUpdater::new_autodns(v.get("username"), v.get("password"), number(v, "context")?, PATIENCE),
    },
    Row {
        name: "azuredns",
        aliases: &[],
        ttl: 60,
        shape: Shape::Set,
        fields: &[Plain::text("client_id", &["AZURE_CLIENT_ID"]), Plain::secret("client_secret", &["AZURE_CLIENT_SECRET"]), Plain::text("tenant", &["AZURE_TENANT_ID"]), Plain::text("subscription", &["AZURE_SUBSCRIPTION_ID"]), Plain::text("resource_group", &["AZURE_RESOURCE_GROUP"]), Plain::text("cloud", &["AZURE_ENVIRONMENT"]).optional()],
        build: |v| DnsUpdater::new_azuredns(AzureDnsConfig {
            tenant_id: v.get("tenant").to_owned(),
            client_id: v.get("client_id").to_owned(),
            client_secret: v.get("client_secret").to_owned(),
            subscription_id: v.get("subscription").to_owned(),
            resource_group: v.get("resource_group").to_owned(),
            environment: azure_cloud(v)?,
            request_timeout: PATIENCE,
        }),
    },
    Row {
        name: "baiducloud",
        aliases: &[],
        ttl: 300,
        shape: Shape::Set,
        fields: &[Plain::text("access_key", &["BAIDUCLOUD_ACCESS_KEY_ID"]), Plain::secret("secret_key", &["BAIDUCLOUD_SECRET_ACCESS_KEY"])],
        build: |v| DnsUpdater::new_baiducloud(v.get("access_key"), v.get("secret_key"), PATIENCE),
    },
    Row {
        name: "bluecatv2",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::text("url", &["BLUECATV2_SERVER_URL"]), Plain::text("username", &["BLUECATV2_USERNAME"]), Plain::secret("password", &["BLUECATV2_PASSWORD"]), Plain::text("configuration", &["BLUECATV2_CONFIG_NAME"]), Plain::text("view", &["BLUECATV2_VIEW_NAME"]), Plain::text("skip_deploy", &["BLUECATV2_SKIP_DEPLOY"]).optional()],
        build: |v| DnsUpdater::new_bluecatv2(BluecatV2Config {
            server_url: v.get("url").to_owned(),
            username: v.get("username").to_owned(),
            password: v.get("password").to_owned(),
            config_name: v.get("configuration").to_owned(),
            view_name: v.get("view").to_owned(),
            skip_deploy: v.is("skip_deploy"),
            request_timeout: PATIENCE,
        }),
    },
    Row {
        name: "bunny",
        aliases: &[],
        ttl: 60,
        shape: Shape::Set,
        fields: &[Plain::secret("api_key", &["BUNNY_API_KEY"])],
        build: |v| DnsUpdater::new_bunny(v.get("api_key"), PATIENCE),
    },
    Row {
        name: "cloudflare",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::secret("token", &["CF_DNS_API_TOKEN", "CLOUDFLARE_DNS_API_TOKEN"])],
        build: |v| DnsUpdater::new_cloudflare(v.get("token"), PATIENCE),
    },
    Row {
        name: "cloudns",
        aliases: &[],
        ttl: 60,
        shape: Shape::Set,
        fields: &[Plain::text("username", &["CLOUDNS_AUTH_ID"]).optional(), Plain::text("subuser", &["CLOUDNS_SUB_AUTH_ID"]).optional(), Plain::secret("password", &["CLOUDNS_AUTH_PASSWORD"])],
        build: |v| DnsUpdater::new_cloudns(v.opt("username"), v.opt("subuser"), v.get("password"), PATIENCE),
    },
    Row {
        name: "constellix",
        aliases: &[],
        ttl: 60,
        shape: Shape::Set,
        fields: &[Plain::secret("api_key", &["CONSTELLIX_API_KEY"]), Plain::secret("api_secret", &["CONSTELLIX_SECRET_KEY"])],
        build: |v| DnsUpdater::new_constellix(v.get("api_key"), v.get("api_secret"), PATIENCE),
    },
    Row {
        name: "cpanel",
        aliases: &[],
        ttl: 300,
        shape: Shape::Set,
        fields: &[Plain::text("url", &["CPANEL_BASE_URL"]), Plain::text("username", &["CPANEL_USERNAME"]), Plain::secret("token", &["CPANEL_TOKEN"])],
        build: |v| DnsUpdater::new_cpanel(v.get("url"), v.get("username"), v.get("token"), PATIENCE),
    },
    Row {
        name: "ddnss",
        aliases: &[],
        ttl: 120,
        shape: Shape::One,
        fields: &[Plain::secret("api_key", &["DDNSS_KEY"])],
        build: |v| DnsUpdater::new_ddnss(v.get("api_key"), PATIENCE),
    },
    Row {
        name: "desec",
        aliases: &[],
        ttl: 3600,
        shape: Shape::Set,
        fields: &[Plain::secret("token", &["DESEC_TOKEN"])],
        build: |v| DnsUpdater::new_desec(v.get("token"), PATIENCE),
    },
    Row {
        name: "digitalocean",
        aliases: &[],
        ttl: 30,
        shape: Shape::Set,
        fields: &[Plain::secret("token", &["DO_AUTH_TOKEN"])],
        build: |v| DnsUpdater::new_digitalocean(v.get("token"), PATIENCE),
    },
    Row {
        name: "dnsimple",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::secret("token", &["DNSIMPLE_OAUTH_TOKEN"]), Plain::text("account", &["DNSIMPLE_ACCOUNT_ID"])],
        build: |v| DnsUpdater::new_dnsimple(v.get("token"), v.get("account"), PATIENCE),
    },
    Row {
        name: "dnsmadeeasy",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::secret("api_key", &["DNSMADEEASY_API_KEY"]), Plain::secret("api_secret", &["DNSMADEEASY_API_SECRET"])],
        build: |v| DnsUpdater::new_dnsmadeeasy(v.get("api_key"), v.get("api_secret"), PATIENCE),
    },
    Row {
        name: "domeneshop",
        aliases: &["domainnameshop"],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::text("token", &["DOMENESHOP_API_TOKEN"]), Plain::secret("secret", &["DOMENESHOP_API_SECRET"])],
        build: |v| DnsUpdater::new_domeneshop(v.get("token"), v.get("secret"), PATIENCE),
    },
    Row {
        name: "dreamhost",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::secret("api_key", &["DREAMHOST_API_KEY"])],
        build: |v| DnsUpdater::new_dreamhost(v.get("api_key"), PATIENCE),
    },
    Row {
        name: "duckdns",
        aliases: &[],
        ttl: 120,
        shape: Shape::One,
        fields: &[Plain::secret("token", &["DUCKDNS_TOKEN"])],
        build: |v| DnsUpdater::new_duckdns(v.get("token"), PATIENCE),
    },
    Row {
        name: "dynu",
        aliases: &[],
        ttl: 300,
        shape: Shape::Set,
        fields: &[Plain::secret("api_key", &["DYNU_API_KEY"])],
        build: |v| DnsUpdater::new_dynu(v.get("api_key"), PATIENCE),
    },
    Row {
        name: "easydns",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::secret("token", &["EASYDNS_TOKEN"]), Plain::secret("api_key", &["EASYDNS_KEY"])],
        build: |v| DnsUpdater::new_easydns(v.get("token"), v.get("api_key"), PATIENCE),
    },
    Row {
        name: "edgedns",
        aliases: &["fastdns"],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::text("host", &["AKAMAI_HOST"]), Plain::secret("client_token", &["AKAMAI_CLIENT_TOKEN"]), Plain::secret("client_secret", &["AKAMAI_CLIENT_SECRET"]), Plain::secret("access_token", &["AKAMAI_ACCESS_TOKEN"]), Plain::text("account", &["AKAMAI_ACCOUNT_SWITCH_KEY"]).optional()],
        build: |v| DnsUpdater::new_edgedns(EdgeDnsConfig {
            host: v.get("host").to_owned(),
            client_token: v.get("client_token").to_owned(),
            client_secret: v.get("client_secret").to_owned(),
            access_token: v.get("access_token").to_owned(),
            account_switch_key: own(v, "account"),
            request_timeout: PATIENCE,
        }),
    },
    Row {
        name: "exoscale",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::text("api_key", &["EXOSCALE_API_KEY"]), Plain::secret("api_secret", &["EXOSCALE_API_SECRET"])],
        build: |v| DnsUpdater::new_exoscale(v.get("api_key"), v.get("api_secret"), PATIENCE),
    },
    Row {
        name: "freemyip",
        aliases: &[],
        ttl: 3600,
        shape: Shape::One,
        fields: &[Plain::secret("token", &["FREEMYIP_TOKEN"])],
        build: |v| DnsUpdater::new_freemyip(v.get("token"), PATIENCE),
    },
    Row {
        name: "gandiv5",
        aliases: &[],
        ttl: 300,
        shape: Shape::Set,
        fields: &[Plain::secret("token", &["GANDIV5_PERSONAL_ACCESS_TOKEN"])],
        build: |v| DnsUpdater::new_gandiv5(v.get("token"), PATIENCE),
    },
    Row {
        name: "gcloud",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::secret("service_account", &["GCE_SERVICE_ACCOUNT"]), Plain::text("project", &["GCE_PROJECT"]), Plain::text("zone_id", &["GCE_ZONE_ID"]).optional(), Plain::text("private_zone", &["GCE_ALLOW_PRIVATE_ZONE"]).optional(), Plain::text("impersonate", &["GCE_IMPERSONATE_SERVICE_ACCOUNT"]).optional()],
        build: |v| DnsUpdater::new_google_cloud_dns(GoogleCloudDnsConfig {
            service_account_json: v.get("service_account").to_owned(),
            project_id: v.get("project").to_owned(),
            managed_zone: own(v, "zone_id"),
            private_zone: v.is("private_zone"),
            impersonate_service_account: own(v, "impersonate"),
            request_timeout: PATIENCE,
        }),
    },
    Row {
        name: "gcore",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::secret("token", &["GCORE_PERMANENT_API_TOKEN"])],
        build: |v| DnsUpdater::new_gcore(v.get("token"), PATIENCE),
    },
    Row {
        name: "glesys",
        aliases: &[],
        ttl: 60,
        shape: Shape::Set,
        fields: &[Plain::text("username", &["GLESYS_API_USER"]), Plain::secret("api_key", &["GLESYS_API_KEY"])],
        build: |v| DnsUpdater::new_glesys(v.get("username"), v.get("api_key"), PATIENCE),
    },
    Row {
        name: "godaddy",
        aliases: &[],
        ttl: 600,
        shape: Shape::Set,
        fields: &[Plain::secret("api_key", &["GODADDY_API_KEY"]), Plain::secret("api_secret", &["GODADDY_API_SECRET"])],
        build: |v| DnsUpdater::new_godaddy(v.get("api_key"), v.get("api_secret"), PATIENCE),
    },
    Row {
        name: "hetzner",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::secret("token", &["HETZNER_API_TOKEN"])],
        build: |v| DnsUpdater::new_hetzner(v.get("token"), PATIENCE),
    },
    Row {
        name: "hostingde",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::secret("api_key", &["HOSTINGDE_API_KEY"])],
        build: |v| DnsUpdater::new_hostingde(v.get("api_key"), PATIENCE),
    },
    Row {
        name: "hostinger",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::secret("token", &["HOSTINGER_API_TOKEN"])],
        build: |v| DnsUpdater::new_hostinger(v.get("token"), PATIENCE),
    },
    Row {
        name: "huaweicloud",
        aliases: &[],
        ttl: 300,
        shape: Shape::Set,
        fields: &[Plain::text("access_key", &["HUAWEICLOUD_ACCESS_KEY_ID"]), Plain::secret("secret_key", &["HUAWEICLOUD_SECRET_ACCESS_KEY"]), Plain::text("region", &["HUAWEICLOUD_REGION"])],
        build: |v| DnsUpdater::new_huaweicloud(v.get("access_key"), v.get("secret_key"), v.get("region"), PATIENCE),
    },
    Row {
        name: "hurricane",
        aliases: &[],
        ttl: 300,
        shape: Shape::OneByHost,
        fields: &[Plain::secret("tokens", &["HURRICANE_TOKENS"])],
        build: |v| DnsUpdater::new_hurricane(tokens(v)?, PATIENCE),
    },
    Row {
        name: "ibmcloud",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::text("username", &["SOFTLAYER_USERNAME"]), Plain::secret("api_key", &["SOFTLAYER_API_KEY"])],
        build: |v| DnsUpdater::new_ibmcloud(v.get("username"), v.get("api_key"), PATIENCE),
    },
    Row {
        name: "infoblox",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::text("host", &["INFOBLOX_HOST"]), Plain::text("api_port", &["INFOBLOX_PORT"]).optional(), Plain::text("username", &["INFOBLOX_USERNAME"]), Plain::secret("password", &["INFOBLOX_PASSWORD"]), Plain::text("view", &["INFOBLOX_DNS_VIEW"]).optional(), Plain::text("api_version", &["INFOBLOX_WAPI_VERSION"]).optional()],
        build: |v| DnsUpdater::new_infoblox(InfobloxConfig {
            host: v.get("host").to_owned(),
            port: own(v, "api_port"),
            username: v.get("username").to_owned(),
            password: v.get("password").to_owned(),
            wapi_version: own(v, "api_version"),
            dns_view: own(v, "view"),
            request_timeout: PATIENCE,
        }),
    },
    Row {
        name: "infomaniak",
        aliases: &[],
        ttl: 300,
        shape: Shape::Set,
        fields: &[Plain::secret("token", &["INFOMANIAK_ACCESS_TOKEN"])],
        build: |v| DnsUpdater::new_infomaniak(v.get("token"), PATIENCE),
    },
    Row {
        name: "inwx",
        aliases: &[],
        ttl: 300,
        shape: Shape::Set,
        fields: &[Plain::text("username", &["INWX_USERNAME"]), Plain::secret("password", &["INWX_PASSWORD"]), Plain::text("sandbox", &["INWX_SANDBOX"]).optional()],
        build: |v| DnsUpdater::new_inwx(v.get("username"), v.get("password"), v.is("sandbox"), PATIENCE),
    },
    Row {
        name: "ionos",
        aliases: &[],
        ttl: 300,
        shape: Shape::Set,
        fields: &[Plain::secret("api_key", &["IONOS_API_KEY"])],
        build: |v| DnsUpdater::new_ionos(v.get("api_key"), PATIENCE),
    },
    Row {
        name: "ipv64",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::secret("api_key", &["IPV64_API_KEY"])],
        build: |v| DnsUpdater::new_ipv64(v.get("api_key"), PATIENCE),
    },
    Row {
        name: "joker",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::secret("api_key", &["JOKER_API_KEY"]).optional(), Plain::text("username", &["JOKER_USERNAME"]).optional(), Plain::secret("password", &["JOKER_PASSWORD"]).optional(), Plain::text("mode", &["JOKER_API_MODE"]).optional()],
        build: |v| DnsUpdater::new_joker(joker(v)?, PATIENCE),
    },
    Row {
        name: "lightsail",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::text("access_key", &["AWS_ACCESS_KEY_ID"]), Plain::secret("secret_key", &["AWS_SECRET_ACCESS_KEY"]), Plain::secret("session_token", &["AWS_SESSION_TOKEN"]).optional(), Plain::text("region", &["AWS_REGION"]).optional(), Plain::text("domain", &["DNS_ZONE"]).optional()],
        build: |v| DnsUpdater::new_lightsail(LightsailConfig {
            access_key_id: v.get("access_key").to_owned(),
            secret_access_key: v.get("secret_key").to_owned(),
            session_token: own(v, "session_token"),
            region: own(v, "region"),
            domain: own(v, "domain"),
            request_timeout: PATIENCE,
        }),
    },
    Row {
        name: "linode",
        aliases: &["linodev4"],
        ttl: 300,
        shape: Shape::Set,
        fields: &[Plain::secret("token", &["LINODE_TOKEN"])],
        build: |v| DnsUpdater::new_linode(v.get("token"), PATIENCE),
    },
    Row {
        name: "luadns",
        aliases: &[],
        ttl: 300,
        shape: Shape::Set,
        fields: &[Plain::text("username", &["LUADNS_API_USERNAME"]), Plain::secret("token", &["LUADNS_API_TOKEN"])],
        build: |v| DnsUpdater::new_luadns(v.get("username"), v.get("token"), PATIENCE),
    },
    Row {
        name: "mythicbeasts",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::text("username", &["MYTHICBEASTS_USERNAME"]), Plain::secret("password", &["MYTHICBEASTS_PASSWORD"])],
        build: |v| DnsUpdater::new_mythicbeasts(v.get("username"), v.get("password"), PATIENCE),
    },
    Row {
        name: "namecheap",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::text("username", &["NAMECHEAP_API_USER"]), Plain::secret("api_key", &["NAMECHEAP_API_KEY"]), Plain::text("client_ip", &["NAMECHEAP_CLIENT_IP"])],
        build: |v| DnsUpdater::new_namecheap(v.get("username"), v.get("api_key"), v.get("client_ip"), None::<&str>, PATIENCE),
    },
    Row {
        name: "namedotcom",
        aliases: &[],
        ttl: 300,
        shape: Shape::Set,
        fields: &[Plain::text("username", &["NAMECOM_USERNAME"]), Plain::secret("token", &["NAMECOM_API_TOKEN"])],
        build: |v| DnsUpdater::new_namedotcom(v.get("username"), v.get("token"), PATIENCE),
    },
    Row {
        name: "namesilo",
        aliases: &[],
        ttl: 3600,
        shape: Shape::Set,
        fields: &[Plain::secret("api_key", &["NAMESILO_API_KEY"])],
        build: |v| DnsUpdater::new_namesilo(v.get("api_key"), PATIENCE),
    },
    Row {
        name: "netcup",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::text("customer", &["NETCUP_CUSTOMER_NUMBER"]), Plain::secret("api_key", &["NETCUP_API_KEY"]), Plain::secret("password", &["NETCUP_API_PASSWORD"])],
        build: |v| DnsUpdater::new_netcup(v.get("customer"), v.get("api_key"), v.get("password"), PATIENCE),
    },
    Row {
        name: "netlify",
        aliases: &[],
        ttl: 300,
        shape: Shape::Set,
        fields: &[Plain::secret("token", &["NETLIFY_TOKEN"])],
        build: |v| DnsUpdater::new_netlify(v.get("token"), PATIENCE),
    },
    Row {
        name: "nifcloud",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::text("access_key", &["NIFCLOUD_ACCESS_KEY_ID"]), Plain::secret("secret_key", &["NIFCLOUD_SECRET_ACCESS_KEY"])],
        build: |v| DnsUpdater::new_nifcloud(v.get("access_key"), v.get("secret_key"), PATIENCE),
    },
    Row {
        name: "ns1",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::secret("api_key", &["NS1_API_KEY"])],
        build: |v| DnsUpdater::new_ns1(v.get("api_key"), PATIENCE),
    },
    Row {
        name: "oraclecloud",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::text("tenancy", &["OCI_TENANCY_OCID", "TF_VAR_tenancy_ocid"]), Plain::text("user", &["OCI_USER_OCID", "TF_VAR_user_ocid"]), Plain::text("fingerprint", &["OCI_FINGERPRINT", "TF_VAR_fingerprint"]), Plain::text("region", &["OCI_REGION", "TF_VAR_region"]), Plain::text("compartment", &["OCI_COMPARTMENT_OCID"]), Plain::secret("private_key", &[]).or_path(&["OCI_PRIVATE_KEY_PATH", "TF_VAR_private_key_path"]), Plain::secret("password", &["OCI_PRIVATE_KEY_PASSWORD"]).optional()],
        build: |v| DnsUpdater::new_oraclecloud(OracleCloudConfig {
            tenancy_ocid: v.get("tenancy").to_owned(),
            user_ocid: v.get("user").to_owned(),
            fingerprint: v.get("fingerprint").to_owned(),
            private_key_pem: v.get("private_key").to_owned(),
            private_key_password: own(v, "password"),
            region: v.get("region").to_owned(),
            compartment_ocid: v.get("compartment").to_owned(),
            request_timeout: PATIENCE,
        }),
    },
    Row {
        name: "ovh",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::text("endpoint", &["OVH_ENDPOINT"]), Plain::text("application_key", &["OVH_APPLICATION_KEY"]), Plain::secret("application_secret", &["OVH_APPLICATION_SECRET"]), Plain::secret("consumer_key", &["OVH_CONSUMER_KEY"])],
        build: |v| DnsUpdater::new_ovh(v.get("application_key"), v.get("application_secret"), v.get("consumer_key"), v.get("endpoint").parse::<OvhEndpoint>()?, PATIENCE),
    },
    Row {
        name: "pdns",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::text("url", &["PDNS_API_URL"]), Plain::secret("api_key", &["PDNS_API_KEY"]), Plain::text("server_name", &["PDNS_SERVER_NAME"]).optional()],
        build: |v| DnsUpdater::new_pdns(v.get("api_key"), v.opt("url"), v.opt("server_name"), PATIENCE),
    },
    Row {
        name: "plesk",
        aliases: &[],
        ttl: 300,
        shape: Shape::Set,
        fields: &[Plain::text("url", &["PLESK_SERVER_BASE_URL"]), Plain::secret("api_key", &["PLESK_API_KEY"])],
        build: |v| DnsUpdater::new_plesk(v.get("url"), v.get("api_key"), PATIENCE),
    },
    Row {
        name: "porkbun",
        aliases: &[],
        ttl: 300,
        shape: Shape::Set,
        fields: &[Plain::secret("api_key", &["PORKBUN_API_KEY"]), Plain::secret("api_secret", &["PORKBUN_SECRET_API_KEY"])],
        build: |v| DnsUpdater::new_porkbun(v.get("api_key"), v.get("api_secret"), PATIENCE),
    },
    Row {
        name: "route53",
        aliases: &[],
        ttl: 10,
        shape: Shape::Set,
        fields: &[Plain::text("access_key", &["AWS_ACCESS_KEY_ID"]), Plain::secret("secret_key", &["AWS_SECRET_ACCESS_KEY"]), Plain::secret("session_token", &["AWS_SESSION_TOKEN"]).optional(), Plain::text("region", &["AWS_REGION"]).optional(), Plain::text("zone_id", &["AWS_HOSTED_ZONE_ID"]).optional(), Plain::text("private_zone", &["AWS_PRIVATE_ZONE"]).optional(), Plain::text("url", &["AWS_ENDPOINT_URL_ROUTE_53"]).optional()],
        build: |v| DnsUpdater::new_route53(Route53Config {
            access_key_id: v.get("access_key").to_owned(),
            secret_access_key: v.get("secret_key").to_owned(),
            session_token: own(v, "session_token"),
            region: own(v, "region"),
            hosted_zone_id: own(v, "zone_id"),
            private_zone_only: v.opt("private_zone").map(|_| v.is("private_zone")),
            endpoint: own(v, "url"),
        }),
    },
    Row {
        name: "safedns",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::secret("token", &["SAFEDNS_AUTH_TOKEN"])],
        build: |v| DnsUpdater::new_safedns(v.get("token"), PATIENCE),
    },
    Row {
        name: "scaleway",
        aliases: &[],
        ttl: 60,
        shape: Shape::Set,
        fields: &[Plain::secret("secret_key", &["SCW_SECRET_KEY"])],
        build: |v| DnsUpdater::new_scaleway(v.get("secret_key"), PATIENCE),
    },
    Row {
        name: "selectelv2",
        aliases: &[],
        ttl: 60,
        shape: Shape::Set,
        fields: &[Plain::text("username", &["SELECTELV2_USERNAME"]), Plain::secret("password", &["SELECTELV2_PASSWORD"]), Plain::text("account", &["SELECTELV2_ACCOUNT_ID"]), Plain::text("project", &["SELECTELV2_PROJECT_ID"])],
        build: |v| DnsUpdater::new_selectel(v.get("username"), v.get("password"), v.get("account"), v.get("project"), PATIENCE),
    },
    Row {
        name: "simply",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::text("account", &["SIMPLY_ACCOUNT_NAME"]), Plain::secret("api_key", &["SIMPLY_API_KEY"])],
        build: |v| DnsUpdater::new_simplycom(v.get("account"), v.get("api_key"), PATIENCE),
    },
    Row {
        name: "spaceship",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::secret("api_key", &["SPACESHIP_API_KEY"]), Plain::secret("api_secret", &["SPACESHIP_API_SECRET"])],
        build: |v| DnsUpdater::new_spaceship(v.get("api_key"), v.get("api_secret"), PATIENCE),
    },
    Row {
        name: "tencentcloud",
        aliases: &[],
        ttl: 600,
        shape: Shape::Set,
        fields: &[Plain::text("access_key", &["TENCENTCLOUD_SECRET_ID"]), Plain::secret("secret_key", &["TENCENTCLOUD_SECRET_KEY"]), Plain::secret("session_token", &["TENCENTCLOUD_SESSION_TOKEN"]).optional(), Plain::text("region", &["TENCENTCLOUD_REGION"]).optional()],
        build: |v| DnsUpdater::new_tencentcloud(v.get("access_key"), v.get("secret_key"), v.opt("region"), v.opt("session_token"), PATIENCE),
    },
    Row {
        name: "transip",
        aliases: &[],
        ttl: 10,
        shape: Shape::Set,
        fields: &[Plain::text("account", &["TRANSIP_ACCOUNT_NAME"]), Plain::secret("private_key", &[]).or_path(&["TRANSIP_PRIVATE_KEY_PATH"]), Plain::text("global_key", &["TRANSIP_GLOBAL_KEY"]).optional()],
        build: |v| DnsUpdater::new_transip(v.get("account"), v.get("private_key"), v.is("global_key"), PATIENCE),
    },
    Row {
        name: "ultradns",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::text("username", &["ULTRADNS_USERNAME"]), Plain::secret("password", &["ULTRADNS_PASSWORD"]), Plain::text("url", &["ULTRADNS_ENDPOINT"]).optional()],
        build: |v| DnsUpdater::new_ultradns(v.get("username"), v.get("password"), own(v, "url"), PATIENCE),
    },
    Row {
        name: "vercel",
        aliases: &[],
        ttl: 60,
        shape: Shape::Set,
        fields: &[Plain::secret("token", &["VERCEL_API_TOKEN"]), Plain::text("team", &["VERCEL_TEAM_ID"]).optional()],
        build: |v| DnsUpdater::new_vercel(v.get("token"), v.opt("team"), PATIENCE),
    },
    Row {
        name: "volcengine",
        aliases: &[],
        ttl: 600,
        shape: Shape::Set,
        fields: &[Plain::text("access_key", &["VOLC_ACCESSKEY"]), Plain::secret("secret_key", &["VOLC_SECRETKEY"]), Plain::text("region", &["VOLC_REGION"]).optional(), Plain::text("host", &["VOLC_HOST"]).optional(), Plain::text("scheme", &["VOLC_SCHEME"]).optional()],
        build: |v| DnsUpdater::new_volcengine(VolcengineConfig {
            access_key: v.get("access_key").to_owned(),
            secret_key: v.get("secret_key").to_owned(),
            region: own(v, "region"),
            host: own(v, "host"),
            scheme: own(v, "scheme"),
            request_timeout: PATIENCE,
        }),
    },
    Row {
        name: "vultr",
        aliases: &[],
        ttl: 120,
        shape: Shape::Set,
        fields: &[Plain::secret("api_key", &["VULTR_API_KEY"])],
        build: |v| DnsUpdater::new_vultr(v.get("api_key"), PATIENCE),
    },
    Row {
        name: "websupport",
        aliases: &[],
        ttl: 600,
        shape: Shape::Set,
        fields: &[Plain::text("api_key", &["WEBSUPPORT_API_KEY"]), Plain::secret("secret", &["WEBSUPPORT_SECRET"])],
        build: |v| DnsUpdater::new_websupport(v.get("api_key"), v.get("secret"), PATIENCE),
    },
    Row {
        name: "yandexcloud",
        aliases: &[],
        ttl: 60,
        shape: Shape::Set,
        fields: &[Plain::secret("iam_token", &["YANDEX_CLOUD_IAM_TOKEN"]), Plain::text("folder", &["YANDEX_CLOUD_FOLDER_ID"])],
        build: |v| DnsUpdater::new_yandexcloud(YandexCloudConfig {
            iam_token_b64: v.get("iam_token").to_owned(),
            folder_id: v.get("folder").to_owned(),
            request_timeout: PATIENCE,
        }),
    },
    Row {
        name: "zoneee",
        aliases: &["zoneeu"],
        ttl: 300,
        shape: Shape::Set,
        fields: &[Plain::text("username", &["ZONEEE_API_USER"]), Plain::secret("api_key", &["ZONEEE_API_KEY"])],
        build: |v| DnsUpdater::new_zoneeu(v.get("username"), v.get("api_key"), PATIENCE),
    },
];

#[cfg(test)]
mod tests;
