//! Any bytes as a spreadsheet, CSV or XLSX, from its table to its entries.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_sheet::{columns, entries, table};

fuzz_target!(|bytes: &[u8]| {
    let Ok(book) = table::open(bytes) else { return };
    for table in &book.tables {
        if let Ok(guess) = columns::guess(table, &[]) {
            let _ = entries::read(table, &guess, None);
        }
    }
});
