//! Without an async runtime: a listener thread and a publisher share one database.
//!
//! `cargo run -p event-channels --example blocking`

use std::io::Write as _;
use std::sync::mpsc;

use event_channels::ListenOptions;
use event_channels::blocking::EventChannel;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let channel = EventChannel::open("sqlite::memory:")?;
    let (tell, told) = mpsc::channel();
    let listener = channel.listen("jobs", ListenOptions::new(), move |message| {
        tell.send(message.payload)?;
        Ok(())
    })?;
    channel.publish("jobs", "resize picture 7")?;
    writeln!(std::io::stdout(), "handled {}", told.recv()?)?;
    channel.stop_listener(listener.id())?;
    channel.shutdown()?;
    Ok(())
}
