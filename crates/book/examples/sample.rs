//! Prints invented people as vCards: `sample PEOPLE NOTES_EACH SEED > people.vcf`, for demonstrations and measurements.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [people, notes, seed] = numbers[..] else {
        eprintln!("sample PEOPLE NOTES_EACH SEED");
        std::process::exit(2);
    };
    let cards = ties_book::sample::vcards_with_notes(people, notes, seed as u64);
    std::io::stdout().lock().write_all(cards.as_bytes())
}
