//! What is waited for, and slow readers before a real server, on a clock of their own.

use std::{convert::Infallible, future::pending};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{client::conn::http2, server::conn::http2 as server, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{task::JoinHandle, time::sleep};

use super::{super::tests::limits, *};

#[test]
fn the_preface_is_recognised_in_pieces() {
    let of = |pieces: &[&[u8]]| {
        let mut found = Protocol::Unknown(0);
        for piece in pieces {
            if let Protocol::Unknown(seen) = found {
                found = protocol(seen, piece);
            }
        }
        found
    };
    assert_eq!(of(&[PREFACE]), Protocol::Http2);
    assert_eq!(
        of(&[&PREFACE[..5], &PREFACE[5..], b"more"]),
        Protocol::Http2
    );
    assert_eq!(of(&[b"P"]), Protocol::Unknown(1));
    assert_eq!(of(&[b"P", b"OST / HTTP/1.1"]), Protocol::Http1);
    assert_eq!(of(&[b"GET / HTTP/1.1\r\n"]), Protocol::Http1);
}

#[tokio::test(start_paused = true)]
async fn a_head_has_less_time_than_a_pause_between_requests() {
    let seconds = Duration::from_secs;
    let limits = Connections {
        header_timeout: seconds(10),
        idle_timeout: seconds(75),
        ..limits(1, 1)
    };
    let begin = Instant::now();
    let passed = || begin.elapsed().as_secs();
    let activity = Activity::new();
    assert_eq!(activity.until_overdue(&limits).await, Overdue::Slow);
    assert_eq!(passed(), 10);
    activity.lock().received(b"GET / HTTP/1.1");
    let work = activity.request();
    assert_eq!(
        (activity.waiting(), activity.overdue(&limits)),
        (None, None)
    );
    drop(work);
    let waiting = activity.waiting().map(|(what, _)| what);
    assert_eq!(waiting, Some(Waiting::Request));
    assert_eq!(activity.until_overdue(&limits).await, Overdue::Idle);
    assert_eq!(passed(), 85);
    // The next head begins late in the pause, and has its own time from then on.
    activity.lock().received(b"G");
    activity.lock().received(b"E");
    assert_eq!(activity.until_overdue(&limits).await, Overdue::Slow);
    assert_eq!(passed(), 95);
}

/// A minute's reading at the least pace is 60 kB.
fn reading() -> Connections {
    Connections {
        stall_timeout: Duration::from_secs(30),
        min_read_rate: 1000,
        ..limits(1, 1)
    }
}

type Client = http2::SendRequest<Full<Bytes>>;

/// An HTTP/2 client with such a window, before a server whose answers have so many bytes, and why the server ends the
/// connection. `/forever` is not answered.
async fn before_a_server(
    limits: Connections,
    window: u32,
    length: usize,
) -> (Client, JoinHandle<Overdue>, Activity) {
    // Less than anything that is sent, so that nothing is read which the client does not ask for.
    let (near, far) = tokio::io::duplex(1 << 10);
    let activity = Activity::new();
    let requests = activity.clone();
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let work = requests.request();
        async move {
            if request.uri().path() == "/forever" {
                pending::<()>().await;
            }
            let body = Full::new(Bytes::from(vec![b'a'; length]));
            Ok::<_, Infallible>(http::Response::new(Answer::new(body, work)))
        }
    });
    let observed = activity.clone();
    let io = TokioIo::new(Observed {
        io: near,
        activity: activity.clone(),
    });
    let ended = tokio::spawn(async move {
        let connection = server::Builder::new(TokioExecutor::new()).serve_connection(io, service);
        tokio::select! {
            _ = connection => panic!("the client ended it"),
            why = observed.until_overdue(&limits) => why,
        }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(window);
    let (client, connection) = builder.handshake(TokioIo::new(far)).await.unwrap();
    tokio::spawn(connection);
    (client, ended, activity)
}

fn get(path: &str) -> http::Request<Full<Bytes>> {
    let uri = format!("http://portal{path}");
    http::Request::get(uri).body(Full::default()).unwrap()
}

/// Reads an answer at a pace, piece by piece, until there is no more; the bytes.
async fn read(client: &mut Client, pace: usize) -> usize {
    let mut answer = client.send_request(get("/")).await.unwrap();
    let mut read = 0;
    while let Some(Ok(frame)) = answer.frame().await {
        let count = frame.data_ref().map_or(0, Bytes::len);
        read += count;
        sleep(
            Duration::from_secs(1) * u32::try_from(count).unwrap() / u32::try_from(pace).unwrap(),
        )
        .await;
    }
    read
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_byte_by_byte_is_not_waited_for() {
    let begin = Instant::now();
    let (mut client, ended, _) = before_a_server(reading(), 1, 5000).await;
    let read = read(&mut client, 10).await;
    assert!((250..=310).contains(&read), "{read}");
    assert_eq!(ended.await.unwrap(), Overdue::Slow);
    assert_eq!(begin.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_all_of_it() {
    let (mut client, ended, activity) = before_a_server(reading(), 16 << 10, 1 << 20).await;
    assert_eq!(read(&mut client, 10_000).await, 1 << 20);
    assert!(!ended.is_finished());
    let state = activity.lock();
    assert_eq!((state.unread, state.at_work), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_read_by_nobody_is_at_work_and_ends() {
    // Also where any pace will do.
    for min_read_rate in [0, 1000] {
        let limits = Connections {
            min_read_rate,
            ..reading()
        };
        let begin = Instant::now();
        let (mut client, ended, activity) = before_a_server(limits, 1000, 5000).await;
        let answer = client.send_request(get("/")).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(activity.waiting(), None);
        assert_eq!(ended.await.unwrap(), Overdue::Slow);
        assert_eq!(begin.elapsed().as_secs(), 30);
        drop(answer);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_hurried_while_another_request_goes_on() {
    let (mut client, ended, activity) = before_a_server(reading(), 1, 5000).await;
    let mut other = client.clone();
    let other = tokio::spawn(async move { other.send_request(get("/forever")).await });
    let answer = client.send_request(get("/")).await.unwrap();
    sleep(Duration::from_mins(10)).await;
    assert!(!ended.is_finished());
    // What was given up waits for nobody, and the other has nothing to read.
    drop(answer);
    sleep(Duration::from_mins(10)).await;
    assert!(!ended.is_finished());
    assert_eq!(activity.lock().unread, 0);
    other.abort();
}

/// Pauses in which there is nothing to read forgive nothing.
#[tokio::test(start_paused = true)]
async fn small_answers_one_after_the_other_are_one_reading() {
    let (mut client, ended, _) = before_a_server(reading(), 1, 100).await;
    let mut answers = 0;
    while !ended.is_finished() {
        read(&mut client, 10).await;
        answers += 1;
        assert!(answers < 10);
        sleep(Duration::from_mins(1)).await;
    }
    assert_eq!(ended.await.unwrap(), Overdue::Slow);
}
