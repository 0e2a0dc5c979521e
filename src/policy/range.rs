//! Ranges that nothing can be in: comparisons of one fact which no value can satisfy together.

use super::question::{Comparison, Operand, Test};
use crate::domain::fact::FactValue;
use crate::domain::fact_catalogue::FactType;

#[derive(Debug, Clone, Copy)]
struct Range {
    low: i128,
    high: i128,
}

impl Range {
    fn narrow(&mut self, comparison: Comparison, to: i128) {
        match comparison {
            Comparison::Eq => {
                self.low = self.low.max(to);
                self.high = self.high.min(to);
            }
            Comparison::Gt => self.low = self.low.max(to.saturating_add(1)),
            Comparison::Gte => self.low = self.low.max(to),
            Comparison::Lt => self.high = self.high.min(to.saturating_sub(1)),
            Comparison::Lte => self.high = self.high.min(to),
            Comparison::Ne => {}
        }
    }

    const fn is_empty(self) -> bool {
        self.low > self.high
    }
}

/// Whether no value can pass all the tests. Counts, durations and sizes are never negative.
pub(super) fn is_impossible<'t>(fact_type: FactType, tests: impl Iterator<Item = &'t Test>) -> bool {
    let all = Range { low: i128::MIN, high: i128::MAX };
    let positive = Range { low: 0, high: i128::MAX };
    let mut value = if matches!(fact_type, FactType::Int | FactType::Duration) { positive } else { all };
    let mut size = positive;
    for test in tests {
        match test {
            Test::Compare(comparison, Operand::Value(other)) => {
                if let Some(number) = number(other) {
                    value.narrow(*comparison, number);
                }
            }
            Test::Size(comparison, than) => size.narrow(*comparison, i128::from(*than)),
            _ => {}
        }
    }
    // What the web app chose may be of several types; each comparison stands for itself.
    fact_type != FactType::Scalar && value.is_empty() || size.is_empty()
}

fn number(value: &FactValue) -> Option<i128> {
    match value {
        FactValue::Int(number) => Some(i128::from(*number)),
        FactValue::Duration(duration) => i128::try_from(duration.as_millis()).ok(),
        FactValue::Time(time) => Some(time.as_nanosecond()),
        _ => None,
    }
}
