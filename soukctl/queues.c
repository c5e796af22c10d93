/* soukctl queues: what waits at a broker, from its admin endpoint. */
#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "souk/buf.h"

#define REPLY_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define URL_BYTES_MAX 1024
#define TIMEOUT_MS 5000L

static const char s_usage[] =
    "usage: soukctl queues [SERVICE] [--url URL] [--json]\n"
    "\n"
    "Prints for each service what waits (ready), what workers hold (inflight), both together "
    "(demand), how\n"
    "long the oldest has waited, and how many workers and free slots there are.\n"
    "\n"
    "  --url URL   the broker's admin endpoint (default SOUK_BROKER_ADMIN_URL)\n"
    "  --json      as the broker says it\n"
    "\n"
    "Exit codes: 0 printed, 1 there is no such service, 2 usage, 3 the broker cannot be reached.\n";

typedef struct {
    const char *url, *service;
    bool json;
} souk_queues_options_t;

static size_t s_on_data(char *data, size_t size, size_t count, void *arg) {
    souk_buf_t *reply = arg;
    souk_buf_append(reply, data, size * count);
    return reply->overflow ? 0 : size * count;
}

/* -1: ret has a reply of status 200; else the exit code. */
static int s_fetch(const char *url, souk_buf_t *ret) {
    CURL *curl = curl_easy_init();
    if (curl == NULL) {
        return SOUKCTL_FAILED;
    }
    long status = 0;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*"); /* an admin endpoint is on our own network */
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, s_on_data);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, ret);
    CURLcode rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    if (rc != CURLE_OK) {
        (void)fprintf(stderr, "soukctl queues: %s: %s\n", url, curl_easy_strerror(rc));
        return SOUKCTL_AWAY;
    }
    if (status != 200) {
        (void)fprintf(stderr, "soukctl queues: %s: status %ld\n", url, status);
        return status == 404 ? SOUKCTL_REFUSED : SOUKCTL_AWAY;
    }
    return -1;
}

static void s_print_row(const char *service, const json_t *queue) {
    (void)printf("%-16s %8lld %8lld %8lld %8.1f %8lld %10lld\n", service,
                 (long long)json_integer_value(json_object_get(queue, "ready")),
                 (long long)json_integer_value(json_object_get(queue, "inflight")),
                 (long long)json_integer_value(json_object_get(queue, "demand")),
                 json_number_value(json_object_get(queue, "oldest_seconds")),
                 (long long)json_integer_value(json_object_get(queue, "workers")),
                 (long long)json_integer_value(json_object_get(queue, "slots_free")));
}

static int s_print_table(const souk_buf_t *reply, const char *service) {
    json_error_t error;
    json_t *root = json_loadb((const char *)reply->data, reply->size, 0, &error);
    if (!json_is_object(root)) {
        json_decref(root);
        (void)fprintf(stderr, "soukctl queues: the broker's reply is not a JSON object\n");
        return SOUKCTL_AWAY;
    }
    (void)printf("%-16s %8s %8s %8s %8s %8s %10s\n", "service", "ready", "inflight", "demand",
                 "oldest_s", "workers", "slots_free");
    if (service != NULL) {
        s_print_row(service, root);
    }
    const char *name;
    json_t *queue;
    json_object_foreach(json_object_get(root, "queues"), name, queue) {
        s_print_row(name, queue);
    }
    json_decref(root);
    return SOUKCTL_OK;
}

static int s_show(const souk_queues_options_t *chosen) {
    char url[URL_BYTES_MAX];
    int length = snprintf(url, sizeof(url), "%s/v1/queues%s%s", chosen->url,
                          chosen->service != NULL ? "/" : "",
                          chosen->service != NULL ? chosen->service : "");
    if (length < 0 || (size_t)length >= sizeof(url)) {
        return souk_command_misuse(&queues_command, "the URL is too long");
    }
    souk_buf_t reply;
    souk_buf_init(&reply, REPLY_BYTES_MAX);
    int code = s_fetch(url, &reply);
    if (code < 0 && chosen->json) {
        (void)fwrite(reply.data, 1, reply.size, stdout);
        (void)fputc('\n', stdout);
        code = SOUKCTL_OK;
    } else if (code < 0) {
        code = s_print_table(&reply, chosen->service);
    }
    souk_buf_done(&reply);
    return code;
}

static int s_run(const souk_soukctl_config_t *config, int argc, char **argv) {
    static const struct option options[] = {{"url", required_argument, NULL, 'u'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    souk_queues_options_t chosen = {.url = config->broker_admin_url};
    int option;
    while ((option = souk_command_option(argc, argv, options)) >= 0) {
        switch (option) {
        case 'u':
            chosen.url = optarg;
            break;
        case 'j':
            chosen.json = true;
            break;
        case 'h':
            return souk_command_help(&queues_command);
        default:
            return souk_command_misuse(&queues_command, "unknown option");
        }
    }
    if (argc - optind > 1) {
        return souk_command_misuse(&queues_command, "at most one SERVICE is wanted");
    }
    chosen.service = argc - optind == 1 ? argv[optind] : NULL;
    if (chosen.service != NULL &&
        strspn(chosen.service, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(chosen.service)) {
        return souk_command_misuse(&queues_command, "%s is no service's name", chosen.service);
    }
    return s_show(&chosen);
}

const souk_command_t queues_command = {
    .name = "queues", .summary = "show what waits at the broker", .usage = s_usage, .run = s_run};
