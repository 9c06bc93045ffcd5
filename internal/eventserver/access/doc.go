// Package access decides who calls an event store server and what they may do, as EventStoreDB does.
//
// Users are streams: the newest event of "$user-NAME" is the user, with a salted hash of the password; "$users" names all that
// were ever created. Rights are access control lists: "$acl" in a stream's metadata; where that says nothing, the one in the newest
// event of "$settings" ("$userStreamAcl", or "$systemStreamAcl" for streams that begin with "$"); where that says nothing either,
// everybody who is a user may do everything to a user stream, and only admins anything to a system stream. "$all" is a system
// stream, "$incarnation" is one that every user may read. A stream's metadata is read and written by the rights "$mr" and "$mw" of the stream itself.
//
// Admins, that is the user admin and the group $admins, may do everything. A caller without name and password may do nothing.
//
// What was looked up is kept, within bounds, until it changes: Changed must be called for every change that was made
// visible, before it is answered, so that a right that was taken away is gone from the answer on. A call that has begun
// goes on with the rights it began with, subscriptions too.
//
// Metadata is read as EventStoreDB reads it, behind a byte order mark and with whatever follows the object. Metadata that cannot be
// read, or whose access control list cannot be understood, lets in admins only; EventStoreDB takes it for no list at all.
package access
