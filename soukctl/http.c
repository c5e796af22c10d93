#include "http.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "souk/clock.h"

#define TIMEOUT_MS 40000L
#define CONNECT_TIMEOUT_MS 3000L
#define RETRY_US_MAX ((int64_t)60 * 1000000)
#define PAUSE_MS_DEFAULT 500
#define PAUSE_MS_MAX 10000
#define URL_BYTES_MAX 2048

struct souk_http {
    CURL *curl;
    const char *url, *token;
    char error[CURL_ERROR_SIZE];
    long retry_after_ms;
};

souk_http_t *souk_http_new(const char *url, const char *token) {
    souk_http_t *self = calloc(1, sizeof *self);
    souk_assert(self != NULL && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    self->curl = curl_easy_init();
    souk_assert(self->curl != NULL);
    self->url = url;
    self->token = token;
    return self;
}

void souk_http_destroy(souk_http_t **self_p) {
    souk_assert(self_p != NULL);
    if (*self_p != NULL) {
        curl_easy_cleanup((*self_p)->curl);
        curl_global_cleanup();
        free(*self_p);
        *self_p = NULL;
    }
}

const char *souk_http_error(const souk_http_t *self) {
    return self->error;
}

static size_t s_on_data(char *data, size_t size, size_t count, void *arg) {
    souk_buf_t *body = arg;
    souk_buf_append(body, data, size * count);
    return body->overflow ? 0 : size * count;
}

static struct curl_slist *s_header(struct curl_slist *list, const char *name, const char *value) {
    char line[512];
    int size = snprintf(line, sizeof line, "%s:%s%s", name, value[0] != '\0' ? " " : "", value);
    souk_assert(size > 0 && (size_t)size < sizeof line);
    struct curl_slist *longer = curl_slist_append(list, line);
    souk_assert(longer != NULL);
    return longer;
}

/* One try: the status, or 0. */
static long s_once(souk_http_t *self, const souk_http_request_t *request, souk_buf_t *ret) {
    char url[URL_BYTES_MAX];
    souk_buf_clear(ret);
    if (snprintf(url, sizeof url, "%s%s", self->url, request->path) >= (int)sizeof url) {
        (void)snprintf(self->error, sizeof self->error, "the URL is too long");
        return 0;
    }
    struct curl_slist *headers = s_header(NULL, "Accept", "application/json");
    headers = s_header(headers, "Expect", ""); /* no waiting for 100 Continue */
    if (self->token != NULL) {
        char bearer[384];
        (void)snprintf(bearer, sizeof bearer, "Bearer %s", self->token);
        headers = s_header(headers, "Authorization", bearer);
    }
    if (request->if_match != NULL) {
        headers = s_header(headers, "If-Match", request->if_match);
    }
    if (request->key != NULL) {
        headers = s_header(headers, "Idempotency-Key", request->key);
    }
    curl_easy_reset(self->curl);
    if (request->body.data != NULL) {
        headers = s_header(headers, "Content-Type", "application/json");
        curl_easy_setopt(self->curl, CURLOPT_POSTFIELDS, request->body.data);
        curl_easy_setopt(self->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size);
    }
    self->error[0] = '\0';
    curl_easy_setopt(self->curl, CURLOPT_CUSTOMREQUEST, request->verb);
    curl_easy_setopt(self->curl, CURLOPT_URL, url);
    curl_easy_setopt(self->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(self->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(self->curl, CURLOPT_ERRORBUFFER, self->error);
    curl_easy_setopt(self->curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    curl_easy_setopt(self->curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(self->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(self->curl, CURLOPT_WRITEFUNCTION, s_on_data);
    curl_easy_setopt(self->curl, CURLOPT_WRITEDATA, ret);
    CURLcode rc = curl_easy_perform(self->curl);
    long status = 0;
    curl_off_t retry_after_s = 0;
    curl_easy_getinfo(self->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(self->curl, CURLINFO_RETRY_AFTER, &retry_after_s);
    curl_slist_free_all(headers);
    self->retry_after_ms =
        retry_after_s > 0 && retry_after_s < PAUSE_MS_MAX / 1000 ? (long)retry_after_s * 1000 : 0;
    if (rc != CURLE_OK) {
        if (self->error[0] == '\0') {
            (void)snprintf(self->error, sizeof self->error, "%s", curl_easy_strerror(rc));
        }
        return 0;
    }
    return status;
}

static void s_pause(long ms) {
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0) {
    }
}

long souk_http_send(souk_http_t *self, const souk_http_request_t *request, souk_buf_t *ret) {
    int64_t until_us = souk_clock_mono_us() + RETRY_US_MAX;
    for (;;) {
        long status = s_once(self, request, ret);
        bool again = status == 429 || status == 503 || (status == 0 && request->repeatable);
        if (!again || souk_clock_mono_us() >= until_us) {
            return status;
        }
        s_pause(self->retry_after_ms > 0 ? self->retry_after_ms : PAUSE_MS_DEFAULT);
    }
}
