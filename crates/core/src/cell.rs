//! Words of strangers in a cell of a spreadsheet.

/// Would a spreadsheet compute this? By the text as it will stand in the cell: its first character, and the full-width twins
/// that some programs take for the same.
pub fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}
