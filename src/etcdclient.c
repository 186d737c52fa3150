// SPDX-License-Identifier: MIT
#include "etcdclient.h"

#include "lease.h"
#include "text.h"
#include "transfer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CODE_UNAUTHENTICATED 16
#define MESSAGE_MAX 256
// How long an endpoint of which nothing is known yet has to answer before the next is asked as well.
#define PATIENCE (LEASE_SECOND / 5)
#define PAUSE_MIN (LEASE_SECOND / 20)
#define PAUSE_MAX (LEASE_SECOND / 2)

// What is to be done after a try.
enum verdict { VERDICT_DONE, VERDICT_REFUSED, VERDICT_NEXT, VERDICT_HOPELESS, VERDICT_NO_TOKEN, VERDICT_INTERRUPTED };

struct etcd {
	const struct clustersettings *settings;
	etcd_waiter *waiter;
	void *owner;
	CURLM *curl;
	size_t endpoint;			// the one that answered last
	bool answers;				// it does, as far as is known
	size_t tried;				// endpoints by the last try
	char password[CLUSTER_PASSWORD_MAX];	// that was tried last
	char *token;				// NULL: none yet
	struct transfer *watch;			// NULL: none
	size_t watched;				// its endpoint
	char messages[CLUSTER_ENDPOINTS_MAX][MESSAGE_MAX];
	char *complaint;
};

// The library for TLS takes its time to begin.
static long features(const struct clustersettings *settings)
{
	for (size_t i = 0; i < settings->count; i++)
		if (text_begins(settings->endpoints[i], "https:"))
			return CURL_GLOBAL_DEFAULT;
	return CURL_GLOBAL_NOTHING;
}

struct etcd *etcd_open(const struct clustersettings *settings, etcd_waiter *waiter, void *owner)
{
	struct etcd *etcd = calloc(1, sizeof(*etcd));

	if (!etcd || curl_global_init(features(settings)) != CURLE_OK) {
		free(etcd);
		return NULL;
	}
	*etcd = (struct etcd){ .settings = settings, .waiter = waiter, .owner = owner, .curl = curl_multi_init() };
	if (!etcd->curl) {
		free(etcd);
		return NULL;
	}
	(void)strlcpy(etcd->password, settings->password, sizeof(etcd->password));
	return etcd;
}

void etcd_close(struct etcd *etcd)
{
	etcd_unwatch(etcd);
	(void)curl_multi_cleanup(etcd->curl);
	free(etcd->token);
	free(etcd->complaint);
	explicit_bzero(etcd->password, sizeof(etcd->password));
	free(etcd);
}

// Each endpoint is complained of once, in the words of the last that went wrong there.
const char *etcd_complaint(struct etcd *etcd)
{
	size_t size;
	FILE *stream;

	free(etcd->complaint);
	etcd->complaint = NULL;
	stream = open_memstream(&etcd->complaint, &size);
	if (!stream)
		return "";
	for (size_t i = 0; i < etcd->settings->count; i++)
		if (etcd->messages[i][0])
			(void)fprintf(stream, "%s%s: %s", ftell(stream) > 0 ? "; " : "", etcd->settings->endpoints[i], etcd->messages[i]);
	(void)fclose(stream);
	return etcd->complaint ? etcd->complaint : "";
}

static struct transfer *begin(struct etcd *etcd, const char *path, const json_t *request, uint64_t time)
{
	char *url;
	struct transfer *transfer;

	if (asprintf(&url, "%s/v3/%s", etcd->settings->endpoints[etcd->endpoint], path) == -1)
		return NULL;
	transfer = transfer_begin(etcd->curl, etcd->settings, url, request, etcd->token, time);
	free(url);
	return transfer;
}

// Lets go on what is on its way. False: the owner wants no more of it.
static bool turn(struct etcd *etcd, uint64_t until)
{
	bool goes_on = etcd->waiter(etcd->owner, etcd->curl, until);

	transfer_turn(etcd->curl);
	return goes_on;
}

// Not gRPC's codes, but what is behind them: whether another member, or the same one later, may do it.
static bool may_pass(int code)
{
	static const int passing[] = { 1 /* canceled */, 2 /* unknown */, 4 /* deadline */, 8 /* exhausted */, 10 /* aborted */,
				       13 /* internal */, 14 /* unavailable */ };

	for (size_t i = 0; i < sizeof(passing) / sizeof(*passing); i++)
		if (code == passing[i])
			return true;
	return false;
}

static enum verdict complain(struct etcd *etcd, enum verdict verdict, const char *why)
{
	(void)snprintf(etcd->messages[etcd->endpoint], MESSAGE_MAX, "%s", why);
	return verdict;
}

// It may be something before etcd that has answered, or etcd without its gateway: by one that refuses a certificate with a name, say.
static enum verdict complain_of_stranger(struct etcd *etcd, struct transfer *transfer)
{
	const char *text = transfer_text(transfer);
	char why[MESSAGE_MAX];

	(void)snprintf(why, sizeof(why), "does not answer as etcd's JSON gateway (/v3) does%s%s", text ? ": " : "", text ? text : "");
	return complain(etcd, transfer_status(transfer) >= 500 ? VERDICT_NEXT : VERDICT_HOPELESS, why);
}

static enum verdict judge(struct etcd *etcd, struct transfer *transfer, struct etcd_answer *answer)
{
	struct etcd_error error;

	if (!transfer_is_answered(transfer))
		return complain(etcd, transfer_is_hopeless(transfer) ? VERDICT_HOPELESS : VERDICT_NEXT, transfer_why(transfer));
	answer->body = transfer_json(transfer);
	if (transfer_status(transfer) == 200 && json_is_object(answer->body) && !json_object_get(answer->body, "error"))
		return VERDICT_DONE;
	error = etcd_read_error(answer->body);
	if (error.code == -1)
		return complain_of_stranger(etcd, transfer);
	answer->code = error.code;
	(void)complain(etcd, VERDICT_REFUSED, error.message ? error.message : "an error without a word");
	// The second is what a token from before a change of users is told.
	if (error.code == CODE_UNAUTHENTICATED || (error.message && strstr(error.message, "auth store is old")))
		return VERDICT_NO_TOKEN;
	return may_pass(error.code) ? VERDICT_NEXT : VERDICT_REFUSED;
}

// A request on its way to one endpoint.
struct attempt {
	struct transfer *transfer;	// NULL: it is over
	size_t endpoint;
	uint64_t sent;
};

struct attempts {
	struct attempt all[CLUSTER_ENDPOINTS_MAX];
	size_t count, running;
	uint64_t next;			// when to begin another one; UINT64_MAX: none
	enum verdict verdict;		// of the last that is over
	bool may_pass;			// what one of them has failed by
};

// At the endpoint behind those that are tried already.
static void begin_attempt(struct etcd *etcd, struct attempts *attempts, const char *path, const json_t *request, uint64_t until)
{
	size_t first = etcd->endpoint, count = etcd->settings->count;
	struct attempt *attempt = &attempts->all[attempts->count++];
	uint64_t now = lease_clock();

	etcd->endpoint = (first + attempts->count - 1) % count;
	*attempt = (struct attempt){ .endpoint = etcd->endpoint, .sent = now };
	attempt->transfer = until > now ? begin(etcd, path, request, until - now) : NULL;
	if (attempt->transfer)
		attempts->running++;
	else
		attempts->may_pass = complain(etcd, VERDICT_NEXT, until > now ? "no memory" : "not tried in time") == VERDICT_NEXT;
	etcd->endpoint = first;
	attempts->next = etcd->answers || attempts->count == count ? UINT64_MAX : now + PATIENCE;
}

static void end_attempt(struct etcd *etcd, struct attempts *attempts, struct attempt *attempt)
{
	if (!attempt->transfer)
		return;
	transfer_end(etcd->curl, attempt->transfer);
	attempt->transfer = NULL;
	attempts->running--;
}

// Judges one that is over, or that has had its time. True: it decides.
static bool decides(struct etcd *etcd, struct attempts *attempts, struct attempt *attempt, struct etcd_answer *answer)
{
	size_t before = etcd->endpoint;

	etcd->endpoint = attempt->endpoint;
	json_decref(answer->body);
	answer->body = NULL;
	attempts->verdict = judge(etcd, attempt->transfer, answer);
	answer->sent = attempt->sent;
	end_attempt(etcd, attempts, attempt);
	if (attempts->verdict == VERDICT_DONE)
		etcd->messages[etcd->endpoint][0] = '\0';
	if (attempts->verdict != VERDICT_NEXT && attempts->verdict != VERDICT_HOPELESS)
		return true;
	attempts->may_pass |= attempts->verdict == VERDICT_NEXT;
	etcd->endpoint = before;
	// The next one is not waited for.
	if (attempts->next != UINT64_MAX)
		attempts->next = 0;
	return false;
}

static bool look_at_attempts(struct etcd *etcd, struct attempts *attempts, struct etcd_answer *answer, bool all)
{
	for (struct attempt *attempt = attempts->all; attempt < attempts->all + attempts->count; attempt++)
		if (attempt->transfer && (all || transfer_is_over(attempt->transfer)) && decides(etcd, attempts, attempt, answer))
			return true;
	return false;
}

// One try, at the present endpoint. Where it is not known to answer, the others are asked as well, one after the other, until one does: one that
// swallows what is sent to it costs no more than PATIENCE. That is then the present one.
static enum verdict try(struct etcd *etcd, const char *path, const json_t *request, uint64_t until, struct etcd_answer *answer)
{
	struct attempts attempts = { .next = 0, .verdict = VERDICT_NEXT };
	// Curl's own clock stands still while the machine sleeps.
	uint64_t end = until + LEASE_SECOND / 10;
	bool decided = false, goes_on = true;

	while (goes_on && !decided && lease_clock() < end && (attempts.running || attempts.next != UINT64_MAX)) {
		if (lease_clock() >= attempts.next)
			begin_attempt(etcd, &attempts, path, request, until);
		if (attempts.running)
			goes_on = turn(etcd, attempts.next < end ? attempts.next : end);
		decided = look_at_attempts(etcd, &attempts, answer, false);
	}
	if (goes_on && !decided)
		decided = look_at_attempts(etcd, &attempts, answer, true);
	for (size_t i = 0; i < attempts.count; i++)
		end_attempt(etcd, &attempts, &attempts.all[i]);
	etcd->tried = attempts.count ? attempts.count : 1;
	etcd->answers = decided;
	if (!goes_on && !decided)
		return VERDICT_INTERRUPTED;
	return decided || !attempts.may_pass ? attempts.verdict : VERDICT_NEXT;
}

static enum verdict ask_token(struct etcd *etcd, uint64_t until)
{
	json_t *request = etcd_ask_token(etcd->settings->user, etcd->password);
	struct etcd_answer answer = { .body = NULL };
	enum verdict verdict = try(etcd, "auth/authenticate", request, until, &answer);
	const char *token;

	json_decref(request);
	if (verdict == VERDICT_DONE && etcd_read_token(answer.body, &token))
		etcd->token = strdup(token);
	json_decref(answer.body);
	return verdict;
}

// The password's file may have been changed since it was read: a command may run for months. False: it has not.
static bool read_password_again(struct etcd *etcd)
{
	char password[CLUSTER_PASSWORD_MAX];
	bool changed = etcd->settings->password_file && clustersettings_read_password(etcd->settings->password_file, password) == NULL &&
		       strcmp(password, etcd->password) != 0;

	if (changed)
		(void)strlcpy(etcd->password, password, sizeof(etcd->password));
	explicit_bzero(password, sizeof(password));
	return changed;
}

static enum verdict authenticate(struct etcd *etcd, uint64_t until)
{
	enum verdict verdict = ask_token(etcd, until);

	if (verdict == VERDICT_REFUSED && read_password_again(etcd))
		verdict = ask_token(etcd, until);
	return verdict;
}

static enum verdict try_with_token(struct etcd *etcd, const char *path, const json_t *request, uint64_t until,
				   struct etcd_answer *answer)
{
	enum verdict verdict = VERDICT_NO_TOKEN;

	for (int tries = 0; tries < 2 && verdict == VERDICT_NO_TOKEN; tries++) {
		if (etcd->settings->user && !etcd->token) {
			verdict = authenticate(etcd, until);
			if (verdict != VERDICT_DONE)
				return verdict;
		}
		verdict = try(etcd, path, request, until, answer);
		if (verdict != VERDICT_NO_TOKEN || !etcd->settings->user)
			break;
		// It is forgotten when a member starts again, and after some minutes.
		free(etcd->token);
		etcd->token = NULL;
	}
	return verdict == VERDICT_NO_TOKEN ? VERDICT_REFUSED : verdict;
}

static enum etcd_result call(struct etcd *etcd, const char *path, const json_t *request, uint64_t deadline, uint64_t try_time,
			     struct etcd_answer *answer)
{
	uint64_t pause = PAUSE_MIN;
	size_t hopeless = 0, count = etcd->settings->count;

	for (size_t tries = 0;;) {
		uint64_t now = lease_clock();
		uint64_t until = deadline - now > try_time ? now + try_time : deadline;
		enum verdict verdict = now < deadline ? try_with_token(etcd, path, request, until, answer) : VERDICT_NEXT;

		if (verdict == VERDICT_DONE)
			return ETCD_DONE;
		if (verdict == VERDICT_REFUSED)
			return ETCD_REFUSED;
		hopeless = verdict == VERDICT_HOPELESS ? hopeless + etcd->tried : 0;
		if (verdict == VERDICT_INTERRUPTED)
			return ETCD_INTERRUPTED;
		if (lease_clock() >= deadline || hopeless >= count)
			return ETCD_UNREACHABLE;
		etcd->endpoint = (etcd->endpoint + etcd->tried) % count;
		tries += etcd->tried;
		if (tries < count)
			continue;
		tries = 0;
		now = lease_clock();
		if (!etcd_sleep(etcd, now + pause < deadline ? now + pause : deadline))
			return ETCD_INTERRUPTED;
		pause = pause * 2 < PAUSE_MAX ? pause * 2 : PAUSE_MAX;
	}
}

enum etcd_result etcd_call(struct etcd *etcd, const char *path, json_t *request, uint64_t deadline, uint64_t try_time,
			   struct etcd_answer *answer)
{
	enum etcd_result result;

	*answer = (struct etcd_answer){ .body = NULL };
	result = call(etcd, path, request, deadline, try_time, answer);
	json_decref(request);
	return result;
}

void etcd_unwatch(struct etcd *etcd)
{
	if (etcd->watch)
		transfer_end(etcd->curl, etcd->watch);
	etcd->watch = NULL;
}

void etcd_watch(struct etcd *etcd, const struct etcd_bytes *key, const struct etcd_bytes *other, uint64_t revision)
{
	json_t *request = etcd_ask_watch(key, other, revision);

	etcd_unwatch(etcd);
	etcd->watch = request ? begin(etcd, "watch", request, 0) : NULL;
	etcd->watched = etcd->endpoint;
	json_decref(request);
	if (etcd->watch && !transfer_watch(etcd->watch, key, other))
		etcd_unwatch(etcd);
}

bool etcd_watch_tells_deletion(const struct etcd *etcd, const struct etcd_bytes *key)
{
	return etcd->watch && transfer_tells_deletion(etcd->watch, key);
}

bool etcd_watch_is_over(const struct etcd *etcd)
{
	return !etcd->watch || etcd->watched != etcd->endpoint || transfer_is_over(etcd->watch);
}

bool etcd_sleep(struct etcd *etcd, uint64_t until)
{
	bool watches = etcd->watch && !etcd_watch_is_over(etcd);

	// Also where UNTIL has passed: whoever sleeps without end would see to nothing else.
	do {
		if (!turn(etcd, until))
			return false;
	} while (lease_clock() < until && !(watches && etcd_watch_is_over(etcd)));
	return true;
}
