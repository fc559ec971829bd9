mod book;
mod conf;
mod driven;
mod driver;
mod handlers;
mod lineage;
mod reading;
mod starts;
