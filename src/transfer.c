// SPDX-License-Identifier: MIT
#include "transfer.h"

#include <stdlib.h>
#include <string.h>

// More than any answer has, but a list of very many waiters.
#define ANSWER_MAX (16u << 20)
#define MILLISECOND UINT64_C(1000000)
#define CONNECT_MS 2000L

struct transfer {
	CURL *easy;
	struct curl_slist *headers;
	char *body;
	struct etcd_bytes answer;
	char why[CURL_ERROR_SIZE];
	CURLcode result;
	bool over;
	bool watch;
	struct etcd_bytes watched[2];	// the second may be none
	json_t *last;			// of a watch that is over: its last message
};

// A watch is a row of messages, of which the last that came may be half there.
static bool look_for_end(struct transfer *transfer)
{
	size_t used = 0;
	bool ended = false;

	while (!ended && used < transfer->answer.length) {
		json_error_t error;
		json_t *message = json_loadb(transfer->answer.bytes + used, transfer->answer.length - used, JSON_DISABLE_EOF_CHECK, &error);

		if (!message)
			break;
		used += (size_t)error.position;
		ended = etcd_is_end_of_watch(message, &transfer->watched[0], transfer->watched[1].bytes ? &transfer->watched[1] : NULL);
		if (ended && !transfer->last)
			transfer->last = json_incref(message);
		json_decref(message);
	}
	transfer->answer.length -= used;
	memmove(transfer->answer.bytes, transfer->answer.bytes + used, transfer->answer.length);
	return ended;
}

static size_t receive(char *bytes, size_t one, size_t count, void *context)
{
	struct transfer *transfer = context;
	struct etcd_bytes *answer = &transfer->answer;
	char *larger = answer->length + count < ANSWER_MAX ? realloc(answer->bytes, answer->length + count + 1) : NULL;

	(void)one;
	if (!larger)
		return 0;
	answer->bytes = larger;
	memcpy(answer->bytes + answer->length, bytes, count);
	answer->length += count;
	answer->bytes[answer->length] = '\0';
	if (transfer->watch && look_for_end(transfer))
		transfer->over = true;
	return count;
}

static void set_tls(CURL *easy, const struct clustersettings *settings)
{
	if (settings->cacert) {
		(void)curl_easy_setopt(easy, CURLOPT_CAINFO, settings->cacert);
		(void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
	if (settings->cert) {
		(void)curl_easy_setopt(easy, CURLOPT_SSLCERT, settings->cert);
		(void)curl_easy_setopt(easy, CURLOPT_SSLKEY, settings->key);
		// Without one the library for TLS would ask for it at the terminal.
		(void)curl_easy_setopt(easy, CURLOPT_KEYPASSWD, "");
	}
}

static void set_times(CURL *easy, uint64_t time)
{
	long milliseconds = (long)((time + MILLISECOND - 1) / MILLISECOND);

	(void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, milliseconds);
	(void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, milliseconds ? milliseconds : CONNECT_MS);
	(void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	// A transfer that is given up would wait for its thread that looks up the name, as long as no nameserver answers.
	(void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
}

static bool set_headers(struct transfer *transfer, const char *token)
{
	char *authorization = NULL;
	struct curl_slist *longer;

	// Without it curl asks first whether it may send much, and waits for the answer.
	transfer->headers = curl_slist_append(NULL, "Expect:");
	if (!transfer->headers || (token && asprintf(&authorization, "Authorization: %s", token) == -1))
		return false;
	longer = authorization ? curl_slist_append(transfer->headers, authorization) : transfer->headers;
	free(authorization);
	if (longer)
		transfer->headers = longer;
	return longer && curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, longer) == CURLE_OK;
}

static bool set_up(struct transfer *transfer, const struct clustersettings *settings, const char *url, const char *token, uint64_t time)
{
	CURL *easy = transfer->easy;

	(void)curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->why);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	(void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	// A proxy is for browsing; and who sets one in the environment does not mean that a lock should go through it.
	(void)curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	(void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	set_tls(easy, settings);
	// A watch keeps its connection: what was used for requests is to be there for the next one.
	(void)curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, time == 0 ? 1L : 0L);
	set_times(easy, time);
	return curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer->body) == CURLE_OK && set_headers(transfer, token);
}

struct transfer *transfer_begin(CURLM *curl, const struct clustersettings *settings, const char *url, const json_t *request,
				const char *token, uint64_t time)
{
	struct transfer *transfer = calloc(1, sizeof(*transfer));

	if (!transfer)
		return NULL;
	transfer->watch = time == 0;
	transfer->body = json_dumps(request, JSON_COMPACT);
	transfer->easy = curl_easy_init();
	if (transfer->body && transfer->easy && set_up(transfer, settings, url, token, time) &&
	    curl_multi_add_handle(curl, transfer->easy) == CURLM_OK)
		return transfer;
	transfer_end(curl, transfer);
	return NULL;
}

bool transfer_watch(struct transfer *transfer, const struct etcd_bytes *key, const struct etcd_bytes *other)
{
	transfer->watched[0] = etcd_bytes(key->bytes, key->length);
	if (other)
		transfer->watched[1] = etcd_bytes(other->bytes, other->length);
	return transfer->watched[0].bytes && (!other || transfer->watched[1].bytes);
}

bool transfer_tells_deletion(const struct transfer *transfer, const struct etcd_bytes *key)
{
	return transfer->last && etcd_tells_deletion(transfer->last, key);
}

void transfer_end(CURLM *curl, struct transfer *transfer)
{
	if (transfer->easy)
		(void)curl_multi_remove_handle(curl, transfer->easy);
	curl_easy_cleanup(transfer->easy);
	curl_slist_free_all(transfer->headers);
	// It may hold the password.
	if (transfer->body)
		explicit_bzero(transfer->body, strlen(transfer->body));
	free(transfer->body);
	etcd_bytes_free(&transfer->answer);
	etcd_bytes_free(&transfer->watched[0]);
	etcd_bytes_free(&transfer->watched[1]);
	json_decref(transfer->last);
	free(transfer);
}

void transfer_turn(CURLM *curl)
{
	int count;
	CURLMsg *message;

	(void)curl_multi_perform(curl, &count);
	while ((message = curl_multi_info_read(curl, &count))) {
		char *private = NULL;
		struct transfer *transfer;

		(void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
		transfer = (struct transfer *)(void *)private;
		transfer->over = true;
		transfer->result = message->data.result;
	}
}

bool transfer_is_over(const struct transfer *transfer)
{
	return transfer->over;
}

bool transfer_is_answered(const struct transfer *transfer)
{
	return transfer->over && transfer->result == CURLE_OK;
}

const char *transfer_why(const struct transfer *transfer)
{
	if (!transfer->over || transfer->result == CURLE_OPERATION_TIMEDOUT)
		return "no answer in time";
	return transfer->why[0] ? transfer->why : curl_easy_strerror(transfer->result);
}

bool transfer_is_hopeless(const struct transfer *transfer)
{
	static const CURLcode codes[] = { CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL, CURLE_SSL_CERTPROBLEM, CURLE_PEER_FAILED_VERIFICATION,
					  CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR };

	for (size_t i = 0; transfer->over && i < sizeof(codes) / sizeof(*codes); i++)
		if (transfer->result == codes[i])
			return true;
	return false;
}

long transfer_status(const struct transfer *transfer)
{
	long status = 0;

	(void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

const char *transfer_text(struct transfer *transfer)
{
	char *type = NULL, *text = transfer->answer.bytes;

	(void)curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_TYPE, &type);
	if (!text || !type || strncasecmp(type, "text/plain", strlen("text/plain")) != 0)
		return NULL;
	text[strcspn(text, "\r\n")] = '\0';
	return text[0] ? text : NULL;
}

json_t *transfer_json(const struct transfer *transfer)
{
	return transfer->answer.bytes ? json_loadb(transfer->answer.bytes, transfer->answer.length, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
}
