/* souk-worker: configuration, signals, run, exit. */
#include <czmq.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gen/config.h"
#include "gen/metrics.h"
#include "services.h"
#include "souk/admin.h"
#include "souk/config.h"
#include "souk/log.h"
#include "souk/metrics.h"
#include "worker.h"

enum { EXIT_DRAINED = 0, EXIT_FAILED = 1, EXIT_CONFIG = 2, EXIT_DRAIN_TIMEOUT = 3 };

#define MESSAGE_BYTES_MAX ((size_t)256 * 1024)

static souk_worker_t *_Atomic worker;
static atomic_int signals_count;

/* First signal: leave in good order. Second: leave. */
static void s_on_signal(int signal_number) {
    (void)signal_number;
    if (atomic_fetch_add(&signals_count, 1) > 0) {
        _exit(EXIT_DRAIN_TIMEOUT);
    }
    souk_worker_t *self = atomic_load(&worker);
    if (self == NULL) {
        _exit(EXIT_DRAINED); /* nothing was taken in yet */
    }
    souk_worker_ask_drain(self);
}

static void s_catch_signals(void) {
    struct sigaction action = {.sa_handler = s_on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int s_load_config(int argc, char **argv, souk_worker_config_t *ret) {
    souk_buf_t message;
    souk_buf_init(&message, MESSAGE_BYTES_MAX);
    souk_err_t err = souk_config_load(souk_worker_config_rows, souk_worker_config_rows_count, argc,
                                      argv, ret, &message);
    if (message.size > 0) {
        FILE *out = err == SOUK_ERR_CANCELLED ? stdout : stderr;
        (void)fwrite(message.data, 1, message.size, out);
    }
    souk_buf_done(&message);
    return err == SOUK_OK ? -1 : err == SOUK_ERR_CANCELLED ? EXIT_DRAINED : EXIT_CONFIG;
}

static int s_serve(const souk_worker_config_t *config, souk_loop_t *loop) {
    souk_worker_t *self;
    souk_err_t err = souk_worker_new(loop, config, souk_services, &self);
    if (err != SOUK_OK) {
        return err == SOUK_ERR_VALIDATION ? EXIT_CONFIG : EXIT_FAILED;
    }
    atomic_store(&worker, self);
    err = souk_worker_run(self);
    if (err == SOUK_ERR_TIMEOUT) {
        _exit(EXIT_DRAIN_TIMEOUT); /* a slot does not return: it can only be left */
    }
    atomic_store(&worker, NULL);
    souk_worker_destroy(&self);
    return err == SOUK_OK ? EXIT_DRAINED : EXIT_FAILED;
}

static int s_run(const souk_worker_config_t *config) {
    souk_log_init(config->name, (souk_log_level_t)config->log_level, STDERR_FILENO);
    souk_metrics_init(souk_metric_decls, souk_metric_decls_count);
    souk_metrics_process("worker");
    souk_health_set(SOUK_HEALTH_STARTING, "starting");
    zsys_handler_set(NULL); /* signals are ours */
    s_catch_signals();
    souk_admin_t *admin = NULL;
    souk_err_t err =
        souk_admin_start(config->admin_address, (uint16_t)config->admin_port, NULL, 0, &admin);
    if (err != SOUK_OK) {
        souk_log(SOUK_LOG_ERROR, "WK-ADMIN-FAILED", SOUK_F_TEXT("address", config->admin_address),
                 SOUK_F_INT("port", config->admin_port));
        return EXIT_FAILED;
    }
    souk_log(SOUK_LOG_INFO, "WK-START", SOUK_F_TEXT("services", config->services),
             SOUK_F_INT("slots", config->slots), SOUK_F_INT("admin_port", souk_admin_port(admin)));
    souk_loop_t *loop = souk_loop_new();
    int code = s_serve(config, loop);
    souk_loop_destroy(&loop);
    souk_admin_stop(&admin);
    souk_metrics_done();
    souk_log(SOUK_LOG_INFO, "WK-STOP", SOUK_F_INT("code", code));
    return code;
}

int main(int argc, char **argv) {
    souk_worker_config_t config = {0};
    int code = s_load_config(argc, argv, &config);
    if (code < 0) {
        code = s_run(&config);
    }
    souk_config_done(souk_worker_config_rows, souk_worker_config_rows_count, &config);
    return code;
}
