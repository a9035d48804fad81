//! RSA keys of OpenSSH's container, which lacks two of the numbers that signing is done with.

use ring::rsa::{KeyPair, KeyPairComponents, PublicKeyComponents};

use crate::Error;
use crate::wire::Reader;

/// As long as the longest that ring signs with. Longer numbers are not worth computing with.
const LONGEST: usize = 4096 / 8;

/// Reads what follows the name of the algorithm.
pub(crate) fn read(reader: &mut Reader<'_>) -> Result<KeyPair, Error> {
    let [n, e, d, inverse, p, q] = {
        let mut next = || reader.integer();
        [next()?, next()?, next()?, next()?, next()?, next()?]
    };
    if [n, d, p, q].iter().any(|number| number.len() > LONGEST) {
        return Err(unfit());
    }
    let exponents = [remainder_of_predecessor(d, p), remainder_of_predecessor(d, q)];
    let [Some(first), Some(second)] = &exponents else { return Err(unfit()) };
    KeyPair::from_components(&KeyPairComponents {
        public_key: PublicKeyComponents { n, e },
        d,
        p,
        q,
        dP: first,
        dQ: second,
        qInv: inverse,
    })
    .map_err(|_| unfit())
}

pub(crate) fn unfit() -> Error {
    Error::Unknown("rsa that ring does not sign with".to_owned())
}

/// `number` modulo `prime - 1`, big-endian, bit by bit: it is done once for a key.
fn remainder_of_predecessor(number: &[u8], prime: &[u8]) -> Option<Vec<u8>> {
    let mut divisor = prime.to_vec();
    // Of an odd number.
    *divisor.last_mut().filter(|last| **last & 1 == 1)? -= 1;
    if divisor.iter().all(|&byte| byte == 0) {
        return None;
    }
    // One byte more: what is doubled may be longer than the divisor.
    divisor.insert(0, 0);
    let mut remainder = vec![0; divisor.len()];
    for bit in number.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)) {
        let mut carry = bit;
        for byte in remainder.iter_mut().rev() {
            (*byte, carry) = (*byte << 1 | carry, *byte >> 7);
        }
        if remainder >= divisor {
            let mut borrow = false;
            for (byte, &other) in remainder.iter_mut().zip(&divisor).rev() {
                let (less, first) = byte.overflowing_sub(other);
                let (less, second) = less.overflowing_sub(u8::from(borrow));
                (*byte, borrow) = (less, first || second);
            }
        }
    }
    Some(remainder[1..].to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn remainders_are_those_of_smaller_numbers(number: u128, prime in 2..u64::MAX / 2) {
            let prime = prime * 2 - 1;
            let expected = number % u128::from(prime - 1);
            let found = remainder_of_predecessor(&number.to_be_bytes(), &prime.to_be_bytes()).expect("odd");
            prop_assert_eq!(u128::from(u64::from_be_bytes(found.try_into().expect("as long"))), expected);
        }
    }

    #[test]
    fn one_and_even_numbers_are_no_primes() {
        for prime in [&[][..], &[0], &[1], &[0, 1], &[4]] {
            assert_eq!(remainder_of_predecessor(&[9], prime), None);
        }
    }
}
