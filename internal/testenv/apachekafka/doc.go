// Package apachekafka runs a real Apache Kafka from its published jars, without a container: what passes against the
// embedded broker must pass against it too.
//
// It needs Java 17 or newer and the jars: those in DAYBOOK_KAFKA_JARS, else those fetched before into the user's cache,
// else, if DAYBOOK_TEST_APACHE_KAFKA=1 or DAYBOOK_LONG=1 asks for it, those that Maven fetches there (43 MB, once).
// DAYBOOK_TEST_APACHE_KAFKA=off never runs it. Where it cannot run, Start skips the test and says why.
package apachekafka
