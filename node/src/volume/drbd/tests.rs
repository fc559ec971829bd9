mod book;
mod conf;
mod driver;
mod handlers;
mod reading;
mod starts;
