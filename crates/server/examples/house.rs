//! Serves an invented house, to be looked at: `cargo run -p notafter-server --example house [ADDRESS [FILE]]`.
//!
//! It listens on 127.0.0.1:4747, prints a link to sign in, and its clock stands still. With FILE it shows what is in that
//! database; `demo` instead of a file is a tidy house, of which the guide has pictures. Not part of the product.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../tests/pages/house.rs"]
mod house;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:4747".to_owned());
    let house = match std::env::args().nth(2) {
        Some(demo) if demo == "demo" => house::House::demo(runtime.handle()),
        Some(file) => {
            let file = notafter_store::Database::File(file.into());
            house::over(&file, runtime.handle(), true, house::NOW)
        }
        None => house::House::lived_in(runtime.handle(), true),
    };
    let link = house.app.access().new_link().unwrap();
    println!("http://{address}/\nhttp://{address}{link}");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(&address).await.unwrap();
        notafter_server::serve(listener, house.app.router(), std::future::pending()).await;
    });
}
