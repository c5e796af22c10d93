/* soukctl call: one request over the bus. */
#include <stdio.h>
#include <stdlib.h>

#include "body.h"
#include "command.h"
#include "gen/routes.h"
#include "souk/client.h"
#include "souk/id.h"
#include "souk/json.h"
#include "souk/loop.h"
#include "souk/transcode.h"

#define BODY_BYTES_MAX ((size_t)1024 * 1024)
#define REPLY_BYTES_MAX ((size_t)8 * 1024 * 1024)
#define LOOK_US ((int64_t)5 * 1000)
#define TIMEOUT_MS_DEFAULT 5000

static const char s_usage[] =
    "usage: soukctl call [OPTION]... SERVICE.METHOD [JSON]\n"
    "\n"
    "Sends one request over the bus and prints the reply as JSON. JSON is the request's fields by "
    "name\n"
    "({} when left out, - reads standard input). An error is printed on standard error.\n"
    "\n"
    "  --timeout-ms N   deadline, waiting for the broker included (default 5000)\n"
    "  --key KEY        Idempotency-Key\n"
    "  --class CLASS    read, keyed, unkeyed or external, for a method that this build does not "
    "know\n"
    "                   (default unkeyed: never repeated)\n"
    "\n"
    "Exit codes: 0 replied, 1 answered with an error, 2 usage, 3 no broker or no answer in time.\n"
    "\n"
    "example: soukctl call diag.echo '{\"text\": \"hello\"}'\n";

typedef struct {
    const souk_soukctl_config_t *config;
    souk_req_t req;
    souk_loop_t *loop;
    souk_client_t *client;
    souk_timer_t *look;
    int64_t until_us;
    bool sent;
    int code;
} souk_caller_t;

/* ---- Printing -------------------------------------------------------------------------------- */

static void s_json_member(souk_buf_t *json, const char *name, souk_str_t text) {
    souk_buf_printf(json, ",\"%s\":", name);
    souk_json_write_str(json, text);
}

static void s_print_fault(const souk_fault_t *fault) {
    const souk_err_info_t *info = souk_err_info(fault->err);
    souk_buf_t json;
    souk_buf_init(&json, REPLY_BYTES_MAX);
    souk_buf_printf(&json, "{\"code\":\"%s\",\"title\":\"%s\"", info->code, info->title);
    if (fault->detail.size > 0) {
        s_json_member(&json, "detail", fault->detail);
    }
    if (fault->retry_after_ms > 0) {
        souk_buf_printf(&json, ",\"retry_after_ms\":%u", fault->retry_after_ms);
    }
    for (size_t i = 0; i < fault->items_count; i++) {
        const souk_fault_item_t *item = &fault->items[i];
        souk_buf_printf(&json, "%s{\"pointer\":", i == 0 ? ",\"errors\":[" : ",");
        souk_json_write_str(&json, item->pointer);
        s_json_member(&json, "reason", item->reason);
        s_json_member(&json, "in", item->in);
        souk_buf_append_byte(&json, '}');
    }
    souk_buf_printf(&json, "%s}\n", fault->items_count > 0 ? "]" : "");
    (void)fwrite(json.data, 1, json.size, stderr);
    souk_buf_done(&json);
}

static int s_print_reply(souk_str_t body) {
    souk_buf_t json;
    souk_buf_init(&json, REPLY_BYTES_MAX);
    souk_err_t err = souk_transcode(body, &json, NULL, 0);
    if (err == SOUK_OK) {
        souk_buf_append_byte(&json, '\n');
        (void)fwrite(json.data, 1, json.size, stdout);
    } else {
        s_print_fault(&(souk_fault_t){.err = SOUK_ERR_BAD_REPLY});
    }
    souk_buf_done(&json);
    return err == SOUK_OK ? SOUKCTL_OK : SOUKCTL_REFUSED;
}

/* ---- The call -------------------------------------------------------------------------------- */

static void s_finish(souk_caller_t *self, int code) {
    self->code = code;
    souk_loop_stop(self->loop);
}

static void s_on_outcome(void *arg, const souk_outcome_t *outcome) {
    souk_caller_t *self = arg;
    if (outcome->err == SOUK_OK) {
        s_finish(self, s_print_reply(outcome->body));
        return;
    }
    souk_fault_t local = {.err = outcome->err};
    s_print_fault(outcome->fault != NULL ? outcome->fault : &local);
    bool away = outcome->err == SOUK_ERR_TIMEOUT || outcome->err == SOUK_ERR_NO_BROKER ||
                outcome->err == SOUK_ERR_NO_WORKER || outcome->err == SOUK_ERR_DEADLINE_EXCEEDED;
    s_finish(self, away ? SOUKCTL_AWAY : SOUKCTL_REFUSED);
}

/* Sends as soon as a broker has welcomed us; gives up at the deadline. */
static void s_on_look(void *arg) {
    souk_caller_t *self = arg;
    int64_t left_ms = (self->until_us - souk_loop_now_us(self->loop)) / 1000;
    if (left_ms <= 0) {
        s_print_fault(
            &(souk_fault_t){.err = SOUK_ERR_NO_BROKER, .detail = souk_str_of(self->config->front)});
        s_finish(self, SOUKCTL_AWAY);
        return;
    }
    if (!souk_client_connected(self->client)) {
        souk_timer_set(self->look, LOOK_US);
        return;
    }
    self->req.timeout_ms = (uint32_t)left_ms;
    uint64_t call;
    souk_err_t err = souk_client_call(self->client, &self->req, s_on_outcome, self, &call);
    if (err != SOUK_OK) {
        s_print_fault(&(souk_fault_t){.err = err});
        s_finish(self, SOUKCTL_AWAY);
    }
}

static int s_send(const souk_soukctl_config_t *config, const souk_req_t *req) {
    souk_caller_t self = {.config = config, .req = *req, .code = SOUKCTL_FAILED};
    self.loop = souk_loop_new();
    souk_client_options_t options = {.endpoints = config->front,
                                     .name = "soukctl",
                                     .outstanding_max = 1,
                                     .pending_bytes_max = 2 * BODY_BYTES_MAX};
    souk_err_t err = souk_client_new(self.loop, &options, &self.client);
    if (err != SOUK_OK) {
        s_print_fault(
            &(souk_fault_t){.err = SOUK_ERR_NO_BROKER, .detail = souk_str_of(config->front)});
        souk_loop_destroy(&self.loop);
        return SOUKCTL_AWAY;
    }
    self.look = souk_timer_new(self.loop, s_on_look, &self);
    self.until_us = souk_loop_now_us(self.loop) + (int64_t)req->timeout_ms * 1000;
    souk_timer_set(self.look, 0);
    if (souk_loop_run(self.loop) != SOUK_OK) {
        self.code = SOUKCTL_FAILED;
    }
    souk_timer_destroy(&self.look);
    souk_client_destroy(&self.client);
    souk_loop_destroy(&self.loop);
    return self.code;
}

/* ---- Arguments ------------------------------------------------------------------------------- */

static const char *const s_class_names[] = {"read", "keyed", "unkeyed", "external"};

static const souk_route_t *s_route(souk_str_t service, souk_str_t method) {
    for (size_t i = 0; i < souk_routes_count; i++) {
        if (souk_str_equal(souk_str_of(souk_routes[i].service), service) &&
            souk_str_equal(souk_str_of(souk_routes[i].method), method)) {
            return &souk_routes[i];
        }
    }
    return NULL;
}

/* What the schema knows of the method; an optional key that is absent makes the call unkeyed. */
static void s_describe(souk_req_t *req, const souk_route_t *route) {
    req->priority = SOUK_PRIORITY_BATCH;
    if (route != NULL) {
        req->class_ = route->class_;
        req->priority = route->priority;
        if (req->class_ == SOUK_CLASS_KEYED && req->key.data == NULL) {
            req->class_ = SOUK_CLASS_UNKEYED;
        }
    }
}

static bool s_class_of(const char *text, uint8_t *ret_class) {
    for (size_t i = 0; i < SOUK_COUNT_OF(s_class_names); i++) {
        if (strcmp(text, s_class_names[i]) == 0) {
            *ret_class = (uint8_t)i;
            return true;
        }
    }
    return false;
}

/* Standard input up to the cap; SOUK_ERR_TOO_LARGE beyond. */
static souk_err_t s_read_input(souk_buf_t *text) {
    char chunk[4096];
    size_t bytes;
    while ((bytes = fread(chunk, 1, sizeof(chunk), stdin)) > 0) {
        souk_buf_append(text, chunk, bytes);
    }
    return text->overflow ? SOUK_ERR_TOO_LARGE : ferror(stdin) != 0 ? SOUK_ERR_IO : SOUK_OK;
}

/* Everything but the body: -1, or an exit code. */
static int s_options(int argc, char **argv, souk_req_t *req) {
    static const struct option options[] = {{"timeout-ms", required_argument, NULL, 't'},
                                            {"key", required_argument, NULL, 'k'},
                                            {"class", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int64_t timeout_ms = TIMEOUT_MS_DEFAULT;
    req->class_ = SOUK_CLASS_UNKEYED;
    int option;
    while ((option = souk_command_option(argc, argv, options)) >= 0) {
        if (option == 'h') {
            return souk_command_help(&call_command);
        }
        if (option == 't' && !souk_command_int(optarg, 1, SOUK_TIMEOUT_MS_MAX, &timeout_ms)) {
            return souk_command_misuse(&call_command, "--timeout-ms is 1 to %d",
                                       SOUK_TIMEOUT_MS_MAX);
        }
        if (option == 'c' && !s_class_of(optarg, &req->class_)) {
            return souk_command_misuse(&call_command,
                                       "--class is read, keyed, unkeyed or external");
        }
        if (option == 'k') {
            req->key = souk_str_of(optarg);
        }
        if (option == '?') {
            return souk_command_misuse(&call_command, "unknown option");
        }
    }
    req->timeout_ms = (uint32_t)timeout_ms;
    return -1;
}

static int s_call(const souk_soukctl_config_t *config, souk_req_t *req, const char *json) {
    const souk_route_t *route = s_route(req->service, req->method);
    s_describe(req, route);
    souk_buf_t text, body;
    souk_buf_init(&text, BODY_BYTES_MAX);
    souk_buf_init(&body, BODY_BYTES_MAX);
    souk_err_t err = SOUK_OK;
    if (strcmp(json, "-") == 0) {
        err = s_read_input(&text);
    } else {
        souk_buf_append_str(&text, souk_str_of(json));
        err = text.overflow ? SOUK_ERR_TOO_LARGE : SOUK_OK;
    }
    char cause[160] = "the request cannot be read or is too large";
    if (err == SOUK_OK) {
        err = souk_body_from_json(route != NULL ? route->request : NULL, souk_buf_str(&text), &body,
                                  cause);
    }
    int code = SOUKCTL_USAGE;
    if (err == SOUK_OK) {
        char id[SOUK_ID_BYTES_MAX];
        req->request_id = (souk_str_t){.data = id, .size = souk_id_new("ctl_", id)};
        req->body = souk_buf_str(&body);
        code = s_send(config, req);
        req->request_id = (souk_str_t){0};
    } else {
        (void)souk_command_misuse(&call_command, "%s", cause);
    }
    souk_buf_done(&text);
    souk_buf_done(&body);
    return code;
}

static int s_run(const souk_soukctl_config_t *config, int argc, char **argv) {
    souk_req_t req = {0};
    int code = s_options(argc, argv, &req);
    if (code >= 0) {
        return code;
    }
    if (argc - optind < 1 || argc - optind > 2) {
        return souk_command_misuse(&call_command, "SERVICE.METHOD and at most one JSON are wanted");
    }
    const char *name = argv[optind];
    const char *dot = strchr(name, '.');
    if (dot == NULL || dot == name || dot[1] == '\0') {
        return souk_command_misuse(&call_command, "%s is not SERVICE.METHOD", name);
    }
    req.service = (souk_str_t){.data = name, .size = (size_t)(dot - name)};
    req.method = souk_str_of(dot + 1);
    if (req.service.size > SOUK_NAME_BYTES_MAX || req.method.size > SOUK_NAME_BYTES_MAX ||
        req.key.size > SOUK_KEY_BYTES_MAX) {
        return souk_command_misuse(&call_command, "a name or the key is too long");
    }
    return s_call(config, &req, argc - optind == 2 ? argv[optind + 1] : "{}");
}

const souk_command_t call_command = {
    .name = "call", .summary = "send one request over the bus", .usage = s_usage, .run = s_run};
