//! Any bytes as a file that has other files in it without being an archive: values of documents, parts of user data, streams in
//! the middle of something else, octets in a program's source, manifests of images.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    notafter_discover::files::inside(bytes);
    // The rest of a message, behind headers that are right.
    let head = b"Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/cloud-config\n";
    notafter_discover::files::inside(&[&head[..], bytes].concat());
});
