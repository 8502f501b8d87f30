//! The scenes, in the order in which they are played.

mod apart;
mod ca;
mod clock;
mod copy;
mod cycles;
mod disk;
mod fleet;
mod hooks;
mod kill;
mod matrix;
mod others;
mod replicas;
mod secrets;

use crate::Scene;

/// All of them.
pub const SCENES: &[Scene] = &[
    Scene { name: "kill", doc: "killed at system calls of a renewal, then gone on with", play: kill::play },
    Scene {
        name: "apart",
        doc: "two processes: the one that installs killed at its system calls, then the server while it installs",
        play: apart::play,
    },
    Scene { name: "full", doc: "a disk that is full at each write", play: disk::full },
    Scene {
        name: "order",
        doc: "what a power failure may lose: the order of syncs and renames",
        play: disk::order,
    },
    Scene {
        name: "replicas",
        doc: "several at once, stopped beyond their hold, restarted in a loop",
        play: replicas::play,
    },
    Scene { name: "copy", doc: "a backup restored on a second host", play: copy::play },
    Scene { name: "clock", doc: "a clock that is sixty days ahead", play: clock::play },
    Scene {
        name: "matrix",
        doc: "nonce refusals x reused authorizations x chain x binding",
        play: matrix::play,
    },
    Scene { name: "ca", doc: "a CA that answers with errors, pages, halves, limits", play: ca::play },
    Scene { name: "hooks", doc: "commands that hang, flood, fork, or do nothing", play: hooks::play },
    Scene { name: "others", doc: "a locked memory, moved files, a busy port", play: others::play },
    Scene { name: "secrets", doc: "modes under umask 000, no dumps, canary secrets", play: secrets::play },
    Scene {
        name: "cycles",
        doc: "short-lived certificates renewed over and over under a client",
        play: cycles::play,
    },
    Scene { name: "fleet", doc: "many certificates: planning and renewing them", play: fleet::play },
];
