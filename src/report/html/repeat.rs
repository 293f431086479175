//! How the run can be repeated.

use maud::{Markup, html};

use crate::report::circumstances::Part;
use crate::report::record::Report;

impl Report {
    pub(super) fn repeat_section(&self) -> Markup {
        html! {
            section #run {
                h2 { "How it was run" }
                ul.run {
                    @for line in self.circumstances() {
                        li {
                            @for part in &line {
                                @match part {
                                    Part::Name(name) => code { (name) },
                                    Part::Words(words) => (words),
                                }
                            }
                        }
                    }
                }
                p.quiet { "The same model, data, seed and parameters give the same numbers, to the bit." }
            }
        }
    }
}
