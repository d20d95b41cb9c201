//! Which tests and cases are run.

use anyhow::{Context as _, bail};
use regex::Regex;

/// Of `--run`.
#[derive(Debug)]
pub enum Filter {
    All,
    /// Tests of that name with all their cases, and cases of that name.
    Either(Regex),
    Both {
        test: Regex,
        case: Regex,
    },
}

// === impl Filter ===

impl Filter {
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let regex = |text: &str| Regex::new(text).with_context(|| format!("--run: {text:?} is no regular expression"));
        let parts: Vec<&str> = text.split("//").collect();
        Ok(match parts[..] {
            [""] => Self::All,
            [one] => Self::Either(regex(one)?),
            [test, case] => Self::Both { test: regex(test)?, case: regex(case)? },
            _ => bail!("--run: {text:?} has more than one `//`; write TEST//CASE"),
        })
    }

    pub fn takes_test<'a>(&self, test: &str, cases: impl IntoIterator<Item = &'a str>) -> bool {
        match self {
            Self::All => true,
            Self::Either(regex) => regex.is_match(test) || cases.into_iter().any(|case| regex.is_match(case)),
            Self::Both { test: regex, .. } => regex.is_match(test),
        }
    }

    pub fn takes_case(&self, test: &str, case: &str) -> bool {
        match self {
            Self::All => true,
            Self::Either(regex) => regex.is_match(case) || regex.is_match(test),
            Self::Both { test: of_test, case: of_case } => of_test.is_match(test) && of_case.is_match(case),
        }
    }
}
