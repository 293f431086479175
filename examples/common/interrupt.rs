//! Long work that can be stopped.

use ironbound::Cancel;

use crate::shell::INTERRUPTED;

/// Ctrl-C asks for the end; a second one ends the program at once.
pub(crate) fn stop_on_interrupt() -> Cancel {
    let cancel = Cancel::default();
    let asked = cancel.clone();
    let handler = ctrlc::set_handler(move || {
        if asked.is_cancelled() {
            std::process::exit(INTERRUPTED.into());
        }
        asked.cancel();
    });
    if let Err(error) = handler {
        log::warn!("Ctrl-C will end the run without a report: {error}");
    }
    cancel
}
