-- +goose Up

-- Keys of subjects that were set aside because the key-encryption key that wraps them was lost. They open what was sealed with them;
-- nothing is sealed with them.
create table daybook.personal_key_former (
    subject text not null,
    key_id  text not null,
    kek_id  text not null,
    wrapped bytea not null,
    primary key (subject, key_id)
);

-- To erase a subject destroys every key of it.
-- +goose StatementBegin
create function daybook.erase_former() returns trigger language plpgsql as $$
begin
    delete from daybook.personal_key_former where subject = new.subject;
    return null;
end $$;
-- +goose StatementEnd
create trigger erase_former after insert or update on daybook.personal_key
    for each row when (new.wrapped is null) execute function daybook.erase_former();

-- +goose Down
drop trigger erase_former on daybook.personal_key;
drop function daybook.erase_former();
drop table daybook.personal_key_former;
