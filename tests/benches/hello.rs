//! The least that a program can do: what others are measured beside.

fn main() {
    println!("hello");
}
