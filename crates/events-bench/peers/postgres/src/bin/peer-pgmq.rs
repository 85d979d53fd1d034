//! pgmq: reads of 100 and one delete for each, by its own crate. `peer-pgmq URL EVENTS`

use std::time::Instant;

use peers_postgres::{arguments, payload, print};
use pgmq::{Message, PGMQueueExt};
use serde_json::Value;

#[tokio::main]
async fn main() {
    let (url, events) = arguments();
    // It understands no URL without a password; the server asks for none.
    let url = url.replacen("postgres@", "postgres:none@", 1);
    let queue = PGMQueueExt::new(url, 4).await.unwrap();
    queue.install_sql_from_embedded().await.unwrap();
    queue.create("bench").await.unwrap();
    for first in (0..events).step_by(1000) {
        let batch: Vec<Value> = (first..(first + 1000).min(events)).map(payload).collect();
        queue.send_batch("bench", &batch).await.unwrap();
    }
    let mut numbers = Vec::with_capacity(events);
    let begun = Instant::now();
    loop {
        let messages: Vec<Message<Value>> = queue.read_batch("bench", 30, 100).await.unwrap();
        if messages.is_empty() {
            break;
        }
        let ids: Vec<i64> = messages.iter().map(|message| message.msg_id).collect();
        queue.delete_batch("bench", &ids).await.unwrap();
        let number = |message: &Message<Value>| message.message["i"].as_u64().unwrap();
        numbers.extend(messages.iter().map(|message| usize::try_from(number(message)).unwrap()));
    }
    print(&numbers, events, begun.elapsed());
}
