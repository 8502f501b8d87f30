//! Archives and file systems in one file that are recognised but not opened: what they are called.
//!
//! Names only. Opening one here means moving it out of this list and into a `Kind` of its own.

/// What a file begins with, where, and what it is called.
const NAMES: &[(usize, &[u8], &str)] = &[
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"MSCF\0\0\0\0", "a Windows cabinet"),
    (0, b"hsqs", "a SquashFS image"),
    (0, b"sqsh", "a SquashFS image"),
    (0, b"\x45\x3d\xcd\x28", "a CramFS image"),
    (0, b"-rom1fs-", "a ROMFS image"),
    (0, b"UBI#\x01", "a UBI image"),
    (0, b"\x04\x22\x4d\x18", "an LZ4 stream"),
    (0, b"\x02\x21\x4c\x18", "an LZ4 stream"),
    (0, b"LZIP\x01", "an lzip stream"),
    (0, b"\x89LZO\0\r\n\x1a\n", "an lzop stream"),
    (0, b"xar!\0\x1c", "a XAR archive"),
];

/// Images for boot loaders, in which a file system may lie further on.
const WRAPPED: &[&[u8]] = &[b"HDR0", b"\x27\x05\x19\x56"];

/// The name of what begins like this.
pub(super) fn name(start: &[u8]) -> Option<&'static str> {
    let fits =
        |(at, magic, _): &&(usize, &[u8], &str)| start.get(*at..).is_some_and(|rest| rest.starts_with(magic));
    // Letters alone are a word, unless there is a zero soon.
    let image = start.get(..64).is_some_and(|head| head.contains(&0));
    let told = |(_, magic, _): &&(usize, &[u8], &str)| image || !magic.is_ascii() || magic.contains(&0x1a);
    NAMES.iter().filter(fits).find(told).map(|(_, _, name)| *name).or_else(|| {
        let wrapped = image && WRAPPED.iter().any(|magic| start.starts_with(magic));
        (wrapped && memchr::memmem::find(start, b"hsqs").is_some())
            .then_some("a firmware image with SquashFS")
    })
}
