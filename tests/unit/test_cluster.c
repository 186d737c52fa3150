// SPDX-License-Identifier: MIT
// The pure parts of a cluster's lock: the lease's clock, endpoints, requests, answers and values.
#include "clustersettings.h"
#include "clustervalue.h"
#include "etcdjson.h"
#include "lease.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

static struct lease lease_of(uint64_t seconds)
{
	return (struct lease){ .id = 1, .ttl = seconds * LEASE_SECOND, .sent = 1000 * LEASE_SECOND };
}

static void a_lease_is_renewed_asked_for_and_over_in_this_order_and_before_its_end(void **state)
{
	(void)state;
	for (uint64_t seconds = LEASE_TTL_MIN; seconds < 200; seconds++) {
		const struct lease lease = lease_of(seconds);
		const uint64_t due = lease_begin(&lease, LEASE_DUE), late = lease_begin(&lease, LEASE_LATE),
			       over = lease_begin(&lease, LEASE_OVER);

		assert_true(lease.sent < due && due < late && late < over);
		assert_true(over + LEASE_SECOND / 2 <= lease.sent + lease.ttl);
		// A failed try, or two, and there still is time.
		assert_true(due + lease_try(&lease) < late);
		assert_int_equal(lease_phase(&lease, lease.sent), LEASE_FRESH);
		assert_int_equal(lease_phase(&lease, due - 1), LEASE_FRESH);
		assert_int_equal(lease_phase(&lease, due), LEASE_DUE);
		assert_int_equal(lease_phase(&lease, late), LEASE_LATE);
		assert_int_equal(lease_phase(&lease, over - 1), LEASE_LATE);
		assert_int_equal(lease_phase(&lease, over), LEASE_OVER);
		assert_int_equal(lease_phase(&lease, UINT64_MAX), LEASE_OVER);
	}
}

static void a_lease_of_a_second_that_a_fast_cluster_grants_is_over_at_once_rather_than_too_late(void **state)
{
	const struct lease one = lease_of(1), none = lease_of(0);

	(void)state;
	assert_true(lease_begin(&one, LEASE_OVER) <= one.sent + LEASE_SECOND / 2);
	assert_int_equal(lease_phase(&none, none.sent), LEASE_OVER);
}

static void a_lease_that_has_ended_is_over_at_any_time_since_the_machine_has_started(void **state)
{
	struct lease lease = lease_of(3600);

	(void)state;
	lease_end(&lease);
	assert_int_equal(lease_phase(&lease, 1), LEASE_OVER);
	assert_int_equal(lease.id, 1);
}

static void endpoints_become_urls(void **state)
{
	static const struct {
		const char *text;
		bool tls;
		const char *urls[3];
	} cases[] = {
		{ "a:1", false, { "http://a:1" } },
		{ "a:1,b:2", true, { "https://a:1", "https://b:2" } },
		{ "http://a:1/,https://b:2,[::1]:3//", true, { "http://a:1", "https://b:2", "https://[::1]:3" } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct clustersettings settings = { .count = 0 };
		struct config_error error;

		assert_true(clustersettings_parse_endpoints(cases[i].text, cases[i].tls, &settings, &error));
		for (size_t n = 0; n < settings.count; n++)
			assert_string_equal(settings.endpoints[n], cases[i].urls[n]);
		assert_true(settings.count == COUNT(cases[i].urls) || !cases[i].urls[settings.count]);
		clustersettings_free(&settings);
	}
}

static void what_is_no_endpoint_is_an_error(void **state)
{
	static const char *const cases[] = { "", ",", "a:1,", ",a:1", "a:1,,b:1", "/", "a/b", "u@h:1", "http://u:p@h", "http://", "https://", "a b", "a?b",
					      "a", "a:", ":1", "a:b", "a:0", "a:65536", "[::1]", "a:1,b" };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct clustersettings settings = { .count = 0 };
		struct config_error error;

		if (clustersettings_parse_endpoints(cases[i], false, &settings, &error))
			fail_msg("'%s'", cases[i]);
		assert_string_equal(error.value, cases[i]);
		clustersettings_free(&settings);
	}
}

static void assert_json(json_t *value, const char *expected)
{
	json_t *other = json_loads(expected, 0, NULL);

	assert_non_null(value);
	assert_non_null(other);
	if (!json_equal(value, other))
		fail_msg("%s", json_dumps(value, 0));
	json_decref(value);
	json_decref(other);
}

static void requests_have_the_recipes_form(void **state)
{
	struct etcd_bytes queue = { (char[]){ "q/" }, 2 }, key = { (char[]){ "q/f" }, 3 }, value = { (char[]){ "v\xff" }, 2 },
			  nothing = { (char[]){ "" }, 0 }, other = { (char[]){ "q/10" }, 4 };
	json_t *request;

	(void)state;
	assert_json(etcd_ask_grant(INT64_MAX, 15), "{\"ID\": \"9223372036854775807\", \"TTL\": \"15\"}");
	assert_json(etcd_ask_entry(&queue, &key, &value, 15, false),
		    "{\"compare\": [{\"key\": \"cS9m\", \"target\": \"CREATE\", \"result\": \"EQUAL\", \"create_revision\": \"0\"}],"
		    "\"success\": [{\"request_put\": {\"key\": \"cS9m\", \"value\": \"dv8=\", \"lease\": \"15\"}}, {\"request_range\":"
		    "{\"key\": \"cS8=\", \"range_end\": \"cTA=\", \"sort_target\": \"CREATE\", \"sort_order\": \"ASCEND\", \"limit\": \"1\"}}],"
		    "\"failure\": [{\"request_range\": {\"key\": \"cS9m\"}}, {\"request_range\":"
		    "{\"key\": \"cS8=\", \"range_end\": \"cTA=\", \"sort_target\": \"CREATE\", \"sort_order\": \"ASCEND\", \"limit\": \"1\"}}]}");
	assert_json(etcd_ask_release(&key, 7, &value, 15),
		    "{\"compare\": [{\"key\": \"cS9m\", \"target\": \"CREATE\", \"result\": \"EQUAL\", \"create_revision\": \"7\"}],"
		    "\"success\": [{\"request_put\": {\"key\": \"cS9m\", \"value\": \"dv8=\", \"lease\": \"15\"}}]}");
	assert_json(etcd_ask_predecessor(&queue, 8), "{\"key\": \"cS8=\", \"range_end\": \"cTA=\", \"sort_target\": \"CREATE\","
		    "\"sort_order\": \"DESCEND\", \"limit\": \"1\", \"max_create_revision\": \"7\"}");
	assert_json(etcd_ask_watch(&key, NULL, 7), "{\"create_request\": {\"key\": \"cS9m\", \"start_revision\": \"8\", \"filters\": [\"NOPUT\"]}}");
	// Of two, whichever sorts first.
	assert_json(etcd_ask_watch(&key, &other, 7), "{\"create_request\": {\"key\": \"cS8xMA==\", \"range_end\": \"cS9mAA==\", \"start_revision\": \"8\","
		    "\"filters\": [\"NOPUT\"]}}");
	assert_json(etcd_ask_watch(&other, &key, 7), "{\"create_request\": {\"key\": \"cS8xMA==\", \"range_end\": \"cS9mAA==\", \"start_revision\": \"8\","
		    "\"filters\": [\"NOPUT\"]}}");
	assert_json(etcd_ask_place(&queue, &key, 8), "{\"success\": [{\"request_range\": {\"key\": \"cS9m\"}}, {\"request_range\":"
		    "{\"key\": \"cS8=\", \"range_end\": \"cTA=\", \"sort_target\": \"CREATE\", \"sort_order\": \"ASCEND\", \"limit\": \"1\"}},"
		    "{\"request_range\": {\"key\": \"cS8=\", \"range_end\": \"cTA=\", \"sort_target\": \"CREATE\", \"sort_order\": \"DESCEND\","
		    "\"limit\": \"1\", \"max_create_revision\": \"7\"}}]}");
	// All there is: from the first key, which a zero byte is, to the end, which etcd writes so as well.
	assert_json(etcd_ask_page(&nothing, NULL, 50, 0),
		    "{\"key\": \"AA==\", \"range_end\": \"AA==\", \"limit\": \"50\", \"revision\": \"0\", \"keys_only\": true}");
	// The next page begins behind the last key of the one before.
	assert_json(etcd_ask_page(&queue, &key, 50, 7),
		    "{\"key\": \"cS9mAA==\", \"range_end\": \"cTA=\", \"limit\": \"50\", \"revision\": \"7\", \"keys_only\": true}");
	request = etcd_ask_ranges();
	assert_true(etcd_add_key(request, &key, 7));
	assert_true(etcd_add_first(request, &queue, 7));
	assert_json(request, "{\"success\": [{\"request_range\": {\"key\": \"cS9m\", \"revision\": \"7\"}},"
		    "{\"request_range\": {\"key\": \"cS8=\", \"range_end\": \"cTA=\", \"sort_target\": \"CREATE\", \"sort_order\": \"ASCEND\","
		    "\"limit\": \"1\", \"keys_only\": true, \"revision\": \"7\"}}]}");
}

static json_t *json(const char *text)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

	assert_non_null(value);
	return value;
}

static void answers_of_grants_and_renewals_tell_the_time(void **state)
{
	static const struct {
		const char *text;
		bool understood;
		uint64_t ttl;
	} cases[] = {
		{ "{\"ID\": \"7\", \"TTL\": \"15\"}", true, 15 },
		{ "{\"result\": {\"ID\": \"7\", \"TTL\": \"15\"}}", true, 15 },
		{ "{\"result\": {\"ID\": \"7\"}}", true, 0 },
		{ "{\"result\": {}}", false, 0 },
		{ "{\"ID\": \"7\", \"TTL\": 15}", false, 0 },
		{ "{\"ID\": \"7\", \"TTL\": \"-1\"}", false, 0 },
		{ "{\"ID\": \"7\", \"TTL\": \"99999999999999999999\"}", false, 0 },
		{ "[]", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		json_t *answer = json(cases[i].text);
		uint64_t ttl;

		if (etcd_read_ttl(answer, &ttl) != cases[i].understood || (cases[i].understood && ttl != cases[i].ttl))
			fail_msg("%s", cases[i].text);
		json_decref(answer);
	}
}

static void answers_tell_in_which_term_they_were_given(void **state)
{
	static const struct {
		const char *text;
		uint64_t term;		// 0: none
	} cases[] = {
		{ "{\"header\": {\"raft_term\": \"3\"}}", 3 },
		{ "{\"result\": {\"header\": {\"raft_term\": \"3\"}, \"ID\": \"7\"}}", 3 },
		{ "{\"header\": {\"raft_term\": 3}}", 0 },
		{ "{\"header\": {}}", 0 },
		{ "{\"result\": {}}", 0 },
		{ "[]", 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		json_t *answer = json(cases[i].text);
		uint64_t term;

		if (etcd_read_term(answer, &term) != (cases[i].term != 0) || (cases[i].term && term != cases[i].term))
			fail_msg("%s", cases[i].text);
		json_decref(answer);
	}
}

#define FIRST "{\"response_range\": {\"kvs\": [{\"key\": \"cS9m\", \"create_revision\": \"5\", \"value\": \"dv8=\", \"lease\": \"15\"}]}}"
#define NONE "{\"response_range\": {}}"
#define STRANGE "{\"response_range\": {\"kvs\": [{\"key\": \"?\", \"create_revision\": \"5\"}]}}"

static void answers_about_the_queue_tell_whose_turn_it_is(void **state)
{
	json_t *answer = json("{\"header\": {\"revision\": \"9\"}, \"succeeded\": true, \"responses\": [{\"response_put\": {}}, " FIRST "]}");
	struct etcd_queue queue;

	(void)state;
	assert_true(etcd_read_queue(answer, &queue));
	assert_int_equal(queue.own, 9);
	assert_int_equal(queue.first.created, 5);
	assert_int_equal(queue.first.lease, 15);
	assert_memory_equal(queue.first.value.bytes, "v\xff", 3);
	etcd_entry_free(&queue.first);
	json_decref(answer);

	answer = json("{\"header\": {\"revision\": \"9\"}, \"responses\": [" NONE ", " NONE "]}");
	assert_true(etcd_read_queue(answer, &queue));
	assert_int_equal(queue.own, 0);
	assert_int_equal(queue.first.created, 0);
	json_decref(answer);
}

static void nobody_is_in_the_queue_only_where_an_answer_says_so(void **state)
{
	static const char *const cases[] = {
		"{\"header\": {}, \"responses\": [" FIRST ", " FIRST "]}",
		"{\"header\": {\"revision\": \"9\"}, \"responses\": [" FIRST "]}",
		"{\"header\": {\"revision\": \"9\"}, \"responses\": [" FIRST ", " NONE "]}",
		"{\"header\": {\"revision\": \"9\"}, \"responses\": [" FIRST ", " STRANGE "]}",
		"{\"header\": {\"revision\": \"9\"}, \"responses\": [" STRANGE ", " FIRST "]}",
		"{\"header\": {\"revision\": \"9\"}, \"responses\": [" NONE ", " STRANGE "]}",
		"{\"header\": {\"revision\": \"9\"}, \"responses\": [" NONE ", {\"response_range\": {\"kvs\": {}}}]}",
		"{\"header\": {\"revision\": \"9\"}, \"succeeded\": true, \"responses\": [{\"response_put\": {}}, " STRANGE "]}",
		"{\"header\": {\"revision\": \"9\"}, \"succeeded\": true, \"responses\": [{\"response_put\": {}}, " NONE "]}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		json_t *answer = json(cases[i]);
		struct etcd_queue queue;

		if (etcd_read_queue(answer, &queue))
			fail_msg("%s", cases[i]);
		json_decref(answer);
	}
}

static void a_key_that_is_no_base64_cannot_be_read(void **state)
{
	json_t *answer = json("{\"header\": {\"revision\": \"9\"}, \"kvs\": [{\"key\": \"?\", \"create_revision\": \"5\"}]}");
	struct etcd_entry entry;
	uint64_t revision;

	(void)state;
	assert_false(etcd_read_entry(answer, 0, &entry));
	assert_false(etcd_read_entry(answer, 1, &entry));
	assert_false(etcd_read_first(answer, &entry, &revision));
	json_decref(answer);

	answer = json("{\"header\": {\"revision\": \"9\"}, \"kvs\": []}");
	assert_true(etcd_read_first(answer, &entry, &revision));
	assert_int_equal(entry.created, 0);
	assert_int_equal(revision, 9);
	json_decref(answer);
}

static void a_watch_ends_by_an_event_or_when_it_will_tell_nothing(void **state)
{
	static const struct {
		const char *text;
		bool ends;
	} cases[] = {
		{ "{\"result\": {\"created\": true}}", false },
		{ "{\"result\": {\"header\": {}}}", false },
		{ "{\"result\": {\"events\": []}}", false },
		{ "{\"result\": {\"events\": [{\"type\": \"DELETE\", \"kv\": {\"key\": \"cS9m\"}}]}}", true },
		{ "{\"result\": {\"events\": [{\"type\": \"DELETE\", \"kv\": {\"key\": \"cS8y\"}}, {\"kv\": {\"key\": \"cS8xMA==\"}}]}}", true },
		// Between the two.
		{ "{\"result\": {\"events\": [{\"type\": \"DELETE\", \"kv\": {\"key\": \"cS8y\"}}]}}", false },
		{ "{\"result\": {\"events\": [{\"type\": \"DELETE\"}]}}", false },
		{ "{\"result\": {\"canceled\": true}}", true },
		{ "{\"result\": {\"compact_revision\": \"5\"}}", true },
		{ "{\"error\": {\"grpc_code\": 14}}", true },
	};

	const struct etcd_bytes key = { (char[]){ "q/f" }, 3 }, other = { (char[]){ "q/10" }, 4 };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		json_t *message = json(cases[i].text);

		if (etcd_is_end_of_watch(message, &key, &other) != cases[i].ends)
			fail_msg("%s", cases[i].text);
		json_decref(message);
	}
}

static void errors_have_a_code_and_a_message(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *message;
	} cases[] = {
		{ "{\"error\": \"e\", \"message\": \"m\", \"code\": 5}", 5, "m" },
		{ "{\"error\": \"e\", \"code\": 5}", 5, "e" },
		{ "{\"error\": {\"grpc_code\": 14, \"message\": \"m\"}}", 14, "m" },
		{ "{\"error\": {\"code\": 14, \"message\": \"m\", \"details\": []}}", 14, "m" },
		{ "{\"error\": {\"grpc_code\": 14, \"http_code\": 503, \"code\": 5}}", 14, NULL },
		{ "{\"error\": {\"message\": \"m\"}}", -1, "m" },
		{ "{}", -1, NULL },
		{ "[]", -1, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		json_t *answer = json(cases[i].text);
		struct etcd_error error = etcd_read_error(answer);

		assert_int_equal(error.code, cases[i].code);
		assert_true(error.message == cases[i].message || strcmp(error.message, cases[i].message) == 0);
		json_decref(answer);
	}
}

static void a_value_says_what_was_put_into_it(void **state)
{
	char *command[] = { (char[]){ "/bin/job" }, (char[]){ "two words" }, (char[]){ "\x1b\xff" }, NULL };
	const struct clustervalue value = { .host = "web1", .pid = 812, .command = command };
	struct etcd_bytes bytes, done;
	struct clusterholder holder, after;

	(void)state;
	assert_true(clustervalue_write(&value, &bytes));
	holder = clustervalue_read(&bytes);
	assert_string_equal(holder.host, "web1");
	assert_int_equal(holder.pid, 812);
	assert_string_equal(holder.command, "/bin/job two words \\033\\377");
	assert_int_equal(strlen(holder.start), 20);
	assert_false(holder.done);
	assert_true(clustervalue_write_done(&bytes, &done));
	after = clustervalue_read(&done);
	assert_true(after.done);
	assert_int_equal(after.pid, 812);
	assert_string_equal(after.start, holder.start);
	assert_string_equal(after.command, holder.command);
	etcd_bytes_free(&bytes);
	etcd_bytes_free(&done);
}

static void a_very_long_command_is_cut(void **state)
{
	char *command[] = { calloc(1, 100000), NULL };
	const struct clustervalue value = { .host = "\xff", .pid = 812, .command = command };
	struct etcd_bytes bytes;
	struct clusterholder holder;

	(void)state;
	assert_non_null(command[0]);
	memset(command[0], 'x', 99999);
	assert_true(clustervalue_write(&value, &bytes));
	assert_true(bytes.length < 2000);
	holder = clustervalue_read(&bytes);
	assert_string_equal(holder.host, "\\377");
	assert_int_equal(strlen(holder.command), CLUSTERVALUE_COMMAND_MAX - 1);
	etcd_bytes_free(&bytes);
	free(command[0]);
}

static void what_others_have_written_names_nobody_or_somebody(void **state)
{
	static const struct {
		const char *text;
		pid_t pid;
		const char *host;
	} cases[] = { { "", 0, "" }, { "x", 0, "" }, { "[]", 0, "" }, { "{}", 0, "" }, { "{\"pid\": -1, \"host\": 5}", 0, "" },
		      { "{\"pid\": 99999999999}", 0, "" }, { "{\"pid\": 1, \"host\": \"h\"} x", 0, "" }, { "{\"pid\": 1, \"host\": \"h\"}", 1, "h" } };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct etcd_bytes bytes = etcd_bytes(cases[i].text, strlen(cases[i].text));
		struct clusterholder holder = clustervalue_read(&bytes);

		if (holder.pid != cases[i].pid || strcmp(holder.host, cases[i].host) != 0)
			fail_msg("%s", cases[i].text);
		etcd_bytes_free(&bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lease_is_renewed_asked_for_and_over_in_this_order_and_before_its_end),
		cmocka_unit_test(a_lease_of_a_second_that_a_fast_cluster_grants_is_over_at_once_rather_than_too_late),
		cmocka_unit_test(a_lease_that_has_ended_is_over_at_any_time_since_the_machine_has_started),
		cmocka_unit_test(endpoints_become_urls),
		cmocka_unit_test(what_is_no_endpoint_is_an_error),
		cmocka_unit_test(requests_have_the_recipes_form),
		cmocka_unit_test(answers_of_grants_and_renewals_tell_the_time),
		cmocka_unit_test(answers_tell_in_which_term_they_were_given),
		cmocka_unit_test(answers_about_the_queue_tell_whose_turn_it_is),
		cmocka_unit_test(nobody_is_in_the_queue_only_where_an_answer_says_so),
		cmocka_unit_test(a_key_that_is_no_base64_cannot_be_read),
		cmocka_unit_test(a_watch_ends_by_an_event_or_when_it_will_tell_nothing),
		cmocka_unit_test(errors_have_a_code_and_a_message),
		cmocka_unit_test(a_value_says_what_was_put_into_it),
		cmocka_unit_test(a_very_long_command_is_cut),
		cmocka_unit_test(what_others_have_written_names_nobody_or_somebody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
