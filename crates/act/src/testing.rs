//! What tests of this crate share: a memory of what providers keep. Only built for tests.

use std::collections::BTreeMap;
use std::sync::Mutex;

use notafter_core::fault::Fault;
use notafter_core::joints::Keep;

/// Keeps in memory.
#[derive(Default)]
pub(crate) struct Memory(Mutex<BTreeMap<String, Vec<u8>>>);

impl Keep for Memory {
    fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.0.lock().expect("the map").get(name).cloned())
    }

    fn keep(&self, name: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, Fault> {
        let mut map = self.0.lock().expect("the map");
        if map.get(name).map(Vec::as_slice) != expected {
            return Ok(false);
        }
        map.insert(name.to_owned(), value.to_vec());
        Ok(true)
    }
}
