-- Run once, by the image's superuser, when the data directory is made. The program connects as daybook, who owns its database and
-- may nothing beyond it. daybook_reader may read the views; it can log in once it has a password (alter role ... password).
create role daybook login nosuperuser nocreatedb nocreaterole noreplication password 'daybook';
create role daybook_reader login nosuperuser nocreatedb nocreaterole noreplication;
create database daybook owner daybook;
revoke all on database daybook from public;
grant connect on database daybook to daybook_reader;
-- Without a password the superuser logs in from inside the container only.
alter role postgres password null;
