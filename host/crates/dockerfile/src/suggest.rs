//! "Did you mean": the nearest known name.

/// The candidate nearest to a mistyped `word`, if any is near. Case does not matter.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 32;
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_lowercase();
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (slips(&word, &candidate.to_lowercase()), candidate))
        .filter(|&(distance, _)| distance <= allowed)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that make `left` into `right`.
pub(crate) fn slips(left: &str, right: &str) -> usize {
    distance(left, right, true)
}

/// The same without swaps: Levenshtein's distance.
pub(crate) fn edits(left: &str, right: &str) -> usize {
    distance(left, right, false)
}

fn distance(left: &str, right: &str, swaps: bool) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let mut best = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if swaps && i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["interval", "timeout", "retries"];
        assert_eq!(closest("internal", names), Some("interval"));
        assert_eq!(closest("TIMEOTU", names), Some("timeout"));
        assert_eq!(closest("platform", names), None);
        assert_eq!(closest("", names), None);
    }
}
