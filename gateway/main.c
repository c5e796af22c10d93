/* souk-gateway: configuration, wiring, run, shut down. Exit codes: 0 stopped as asked, 1 could not
 * start, 2 bad configuration. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "gateway/server.h"
#include "gen/config.h"
#include "gen/metrics.h"
#include "souk/admin.h"
#include "souk/log.h"
#include "souk/thread.h"

#define THREADS_MAX 64

typedef struct {
    souk_gateway_config_t config;
    souk_gateway_t gateway;
    souk_loop_t *loop; /* of the main thread: signals */
    souk_admin_t *admin;
    size_t count;
    souk_server_t *servers[THREADS_MAX];
    pthread_t threads[THREADS_MAX];
    size_t threads_count;
    _Atomic size_t running;
    uint16_t port;
} process_t;

typedef struct {
    process_t *process;
    souk_server_t *server;
} thread_arg_t;

static thread_arg_t s_thread_args[THREADS_MAX];

static void *s_serve(void *arg) {
    const thread_arg_t *self = arg;
    souk_server_run(self->server);
    atomic_fetch_sub(&self->process->running, 1);
    souk_loop_wake(self->process->loop);
    return NULL;
}

static void s_on_thread_end(void *arg) {
    process_t *process = arg;
    if (atomic_load(&process->running) == 0) {
        souk_loop_stop(process->loop);
    }
}

static void s_on_stop(void *arg) {
    process_t *process = arg;
    if (atomic_exchange(&process->gateway.draining, true)) {
        return;
    }
    souk_health_set(SOUK_HEALTH_DRAINING, "stopping");
    souk_log(SOUK_LOG_INFO, "GW-DRAINING", SOUK_F_INT("drain_ms", process->config.drain_ms));
    for (size_t i = 0; i < process->count; i++) {
        souk_server_wake(process->servers[i]);
    }
}

static bool s_fail(const char *what, const char *cause) {
    souk_log(SOUK_LOG_ERROR, "GW-START-FAILED", SOUK_F_TEXT("what", what),
             SOUK_F_TEXT("cause", cause));
    return false;
}

static bool s_open(process_t *process) {
    const souk_gateway_config_t *config = &process->config;
    const char *cause = NULL;
    process->loop = souk_loop_new();
    if (process->loop == NULL ||
        souk_loop_on_signal(process->loop, SIGTERM, s_on_stop, process) != SOUK_OK ||
        souk_loop_on_signal(process->loop, SIGINT, s_on_stop, process) != SOUK_OK) {
        return s_fail("loop", strerrordesc_np(errno));
    }
    souk_loop_on_wake(process->loop, s_on_thread_end, process);
    if (souk_gateway_init(&process->gateway, config, &cause) != SOUK_OK) {
        return s_fail("configuration", cause);
    }
    process->port = (uint16_t)config->port;
    for (unsigned number = 0; number < (unsigned)config->threads; number++) {
        int fd = -1;
        if (souk_listen(config->address, process->port, number == 0, &fd, &process->port) !=
            SOUK_OK) {
            char where[96];
            snprintf(where, sizeof(where), "listening on %s:%u", config->address,
                     (unsigned)process->port);
            return s_fail(where, strerrordesc_np(errno));
        }
        if (souk_server_new(&process->gateway, number, fd, &process->servers[number]) != SOUK_OK) {
            return s_fail("broker client", config->front);
        }
        process->count++;
    }
    if (souk_admin_start(config->admin_address, (uint16_t)config->admin_port, NULL, 0,
                         &process->admin) != SOUK_OK) {
        return s_fail("admin endpoint", strerrordesc_np(errno));
    }
    return true;
}

static bool s_start(process_t *process) {
    for (size_t i = 0; i < process->count; i++) {
        s_thread_args[i] = (thread_arg_t){.process = process, .server = process->servers[i]};
        atomic_fetch_add(&process->running, 1);
        if (!souk_thread_start(&process->threads[i], s_serve, &s_thread_args[i])) {
            atomic_fetch_sub(&process->running, 1);
            return s_fail("thread", "it could not be made");
        }
        process->threads_count++;
    }
    souk_log(SOUK_LOG_INFO, "GW-STARTED", SOUK_F_TEXT("version", souk_version()),
             SOUK_F_TEXT("address", process->config.address), SOUK_F_INT("port", process->port),
             SOUK_F_INT("admin_port", souk_admin_port(process->admin)),
             SOUK_F_INT("threads", process->config.threads));
    return true;
}

static void s_close(process_t *process) {
    for (size_t i = 0; i < process->threads_count; i++) {
        pthread_join(process->threads[i], NULL);
    }
    souk_admin_stop(&process->admin);
    for (size_t i = 0; i < process->count; i++) {
        souk_server_destroy(&process->servers[i]);
    }
    souk_gateway_done(&process->gateway);
    souk_loop_destroy(&process->loop);
}

/* False: exit with *ret_code. */
static bool s_configure(int argc, char **argv, souk_gateway_config_t *config, int *ret_code) {
    souk_buf_t message;
    souk_buf_init(&message, 256 * 1024);
    souk_err_t err = souk_config_load(souk_gateway_config_rows, souk_gateway_config_rows_count,
                                      argc, argv, config, &message);
    fprintf(err == SOUK_ERR_CANCELLED ? stdout : stderr, "%.*s", (int)message.size,
            (const char *)message.data);
    souk_buf_done(&message);
    *ret_code = err == SOUK_OK || err == SOUK_ERR_CANCELLED ? 0 : 2;
    return err == SOUK_OK;
}

int main(int argc, char **argv) {
    static process_t process;
    int code = 0;
    if (!s_configure(argc, argv, &process.config, &code)) {
        return code;
    }
    souk_log_init("gateway", (souk_log_level_t)process.config.log_level, STDERR_FILENO);
    souk_metrics_init(souk_metric_decls, souk_metric_decls_count);
    souk_metric_set(souk_metric(SOUK_METRIC_BUILD_INFO, souk_version(), "gateway", NULL), 1);
    souk_metric_set(souk_metric(SOUK_METRIC_PROCESS_START_TIME_SECONDS, NULL), (int64_t)time(NULL));
    bool started = sodium_init() >= 0 && s_open(&process) && s_start(&process);
    if (!started) {
        s_on_stop(&process);
        code = 1;
    }
    if (process.threads_count > 0 && souk_loop_run(process.loop) != SOUK_OK) {
        code = 1;
    }
    s_close(&process);
    souk_log(SOUK_LOG_INFO, "GW-STOPPED", SOUK_F_INT("code", code));
    souk_config_done(souk_gateway_config_rows, souk_gateway_config_rows_count, &process.config);
    return code;
}
