//! Names for containers that were given none: `adjective_surname`, as Docker's users expect them.

use std::io;

/// A name that nobody chose. `taken` may be asked several times; after some, a digit is appended, as Docker does.
///
/// # Errors
/// The system has no random numbers.
pub fn generate(taken: &dyn Fn(&str) -> bool) -> io::Result<String> {
    const TRIES: u32 = 6;
    for attempt in 0..TRIES {
        let mut random = [0; 5];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let [a, b, c, d, digit] = random;
        let adjective = pick(ADJECTIVES, [a, b]);
        let surname = pick(SURNAMES, [c, d]);
        let name = match attempt {
            0 => format!("{adjective}_{surname}"),
            _ => format!("{adjective}_{surname}{}", digit % 10),
        };
        // Who made Apple's first computer was anything but that.
        if name != "boring_wozniak" && !taken(&name) {
            return Ok(name);
        }
    }
    let mut random = [0; 6];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn pick(words: &'static [&'static str], random: [u8; 2]) -> &'static str {
    words[usize::from(u16::from_le_bytes(random)) % words.len()]
}

const ADJECTIVES: &[&str] = &[
    "admiring",
    "agile",
    "amused",
    "attentive",
    "awake",
    "bold",
    "boring",
    "brave",
    "bright",
    "brisk",
    "busy",
    "calm",
    "candid",
    "careful",
    "charming",
    "cheerful",
    "clever",
    "confident",
    "cool",
    "cosy",
    "curious",
    "daring",
    "diligent",
    "dreamy",
    "eager",
    "earnest",
    "elated",
    "elegant",
    "eloquent",
    "fair",
    "fervent",
    "festive",
    "focused",
    "friendly",
    "frosty",
    "generous",
    "gentle",
    "gifted",
    "graceful",
    "gracious",
    "happy",
    "hardy",
    "honest",
    "hopeful",
    "humble",
    "inspiring",
    "intuitive",
    "jolly",
    "jovial",
    "keen",
    "kind",
    "laughing",
    "lively",
    "loving",
    "lucid",
    "mellow",
    "merry",
    "modest",
    "musing",
    "mystic",
    "neat",
    "nice",
    "nifty",
    "nimble",
    "noble",
    "patient",
    "pensive",
    "playful",
    "polite",
    "practical",
    "prompt",
    "quick",
    "quiet",
    "quirky",
    "relaxed",
    "reverent",
    "robust",
    "romantic",
    "serene",
    "sharp",
    "silent",
    "sincere",
    "sleepy",
    "steady",
    "stoic",
    "sunny",
    "sweet",
    "tender",
    "thirsty",
    "thoughtful",
    "tidy",
    "trusting",
    "upbeat",
    "vibrant",
    "vigilant",
    "vigorous",
    "wise",
    "witty",
    "wonderful",
    "youthful",
    "zealous",
];

/// Of people who found out how things are, or made new ones.
const SURNAMES: &[&str] = &[
    "agnesi",
    "allen",
    "archimedes",
    "aryabhata",
    "avicenna",
    "babbage",
    "backus",
    "banach",
    "bardeen",
    "bartik",
    "bell",
    "berners",
    "bhabha",
    "blackwell",
    "bohr",
    "boyd",
    "brahmagupta",
    "cannon",
    "cerf",
    "chandrasekhar",
    "clarke",
    "cori",
    "cray",
    "curie",
    "darwin",
    "davinci",
    "dijkstra",
    "edison",
    "einstein",
    "elion",
    "engelbart",
    "euclid",
    "euler",
    "faraday",
    "fermat",
    "fermi",
    "feynman",
    "franklin",
    "galileo",
    "galois",
    "gauss",
    "germain",
    "goldberg",
    "goodall",
    "hamilton",
    "hawking",
    "heisenberg",
    "hermann",
    "herschel",
    "hertz",
    "hodgkin",
    "hopper",
    "hypatia",
    "jackson",
    "jang",
    "jemison",
    "johnson",
    "joliot",
    "kalam",
    "kapitsa",
    "keller",
    "kepler",
    "khayyam",
    "khorana",
    "knuth",
    "kowalevski",
    "lamarr",
    "lamport",
    "leakey",
    "leavitt",
    "liskov",
    "lovelace",
    "mahavira",
    "maxwell",
    "mayer",
    "mccarthy",
    "mcclintock",
    "meitner",
    "mendel",
    "mendeleev",
    "mirzakhani",
    "morse",
    "murdock",
    "napier",
    "nash",
    "newton",
    "nightingale",
    "nobel",
    "noether",
    "northcutt",
    "noyce",
    "pare",
    "pascal",
    "pasteur",
    "payne",
    "perlman",
    "pike",
    "poincare",
    "poitras",
    "ptolemy",
    "raman",
    "ramanujan",
    "ride",
    "ritchie",
    "rubin",
    "saha",
    "sammet",
    "shannon",
    "shaw",
    "shockley",
    "sinoussi",
    "snyder",
    "spence",
    "stallman",
    "stonebraker",
    "swanson",
    "swartz",
    "tesla",
    "thompson",
    "torvalds",
    "turing",
    "varahamihira",
    "visvesvaraya",
    "volhard",
    "wescoff",
    "wiles",
    "williams",
    "wilson",
    "wing",
    "wozniak",
    "wright",
    "wu",
    "yalow",
    "yonath",
];

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn names_are_two_words_until_all_are_taken() {
        let name = generate(&|_| false).expect("random numbers");
        let (adjective, surname) = name.split_once('_').expect("two words");
        assert!(ADJECTIVES.contains(&adjective) && SURNAMES.contains(&surname));

        let asked = Cell::new(0);
        let name = generate(&|_| asked.replace(asked.get() + 1) == 0).expect("random numbers");
        assert!(name.ends_with(|last: char| last.is_ascii_digit()), "{name}");
        let name = generate(&|_| true).expect("random numbers");
        assert!(name.len() == 12 && name.chars().all(|c| c.is_ascii_hexdigit()), "{name}");
    }

    #[test]
    fn the_lists_are_sorted_and_without_repetition() {
        for words in [ADJECTIVES, SURNAMES] {
            assert!(words.is_sorted_by(|a, b| a < b));
            assert!(words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())));
        }
    }
}
