#include "reactor.h"

#include "gen/config.h"
#include "gen/metrics.h"
#include "souk/admin.h"
#include "souk/log.h"
#include "souk/metrics.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { S_EXIT_OK = 0, S_EXIT_FAILED = 1, S_EXIT_USAGE = 2 };

static int s_serve(const souk_broker_config_t *config) {
    souk_status_t *status = souk_status_new((size_t)config->services_max);
    souk_reactor_t *reactor = NULL;
    souk_admin_t *admin = NULL;
    int code = S_EXIT_FAILED;
    const souk_admin_route_t route = {
        .prefix = "/v1/queues", .fn = souk_status_answer, .arg = status};
    if (souk_reactor_new(config, status, &reactor) != SOUK_OK) {
        goto done; /* logged */
    }
    if (souk_admin_start(config->admin_address, (uint16_t)config->admin_port, &route, 1, &admin) !=
        SOUK_OK) {
        souk_log(SOUK_LOG_ERROR, "BR-ADMIN", SOUK_F_TEXT("address", config->admin_address),
                 SOUK_F_INT("port", config->admin_port),
                 SOUK_F_TEXT("reason", strerrordesc_np(errno)));
        goto done;
    }
    souk_health_set(SOUK_HEALTH_READY, NULL);
    souk_log(SOUK_LOG_INFO, "BR-START", SOUK_F_TEXT("version", souk_version()),
             SOUK_F_INT("admin_port", souk_admin_port(admin)), SOUK_F_INT("pid", getpid()));
    if (souk_reactor_run(reactor) == SOUK_OK) {
        code = S_EXIT_OK;
    }
    /* One more signal may not turn a clean end into death. */
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    souk_log(SOUK_LOG_INFO, "BR-STOP", SOUK_F_INT("code", code));
done:
    souk_reactor_destroy(&reactor);
    souk_admin_stop(&admin);
    souk_status_destroy(&status);
    return code;
}

int main(int argc, char **argv) {
    souk_broker_config_t config = {0};
    souk_buf_t message;
    souk_buf_init(&message, 1 << 20);
    int code = S_EXIT_USAGE;
    souk_err_t err = souk_config_load(souk_broker_config_rows, souk_broker_config_rows_count, argc,
                                      argv, &config, &message);
    if (err == SOUK_OK) {
        signal(SIGPIPE, SIG_IGN);
        souk_log_init("broker", (souk_log_level_t)config.log_level, STDERR_FILENO);
        souk_metrics_init(souk_metric_decls, souk_metric_decls_count);
        souk_metrics_process("broker");
        code = s_serve(&config);
        souk_metrics_done();
    } else {
        code = err == SOUK_ERR_CANCELLED ? S_EXIT_OK : S_EXIT_USAGE;
        (void)fwrite(message.data, 1, message.size, code == S_EXIT_OK ? stdout : stderr);
    }
    souk_config_done(souk_broker_config_rows, souk_broker_config_rows_count, &config);
    souk_buf_done(&message);
    return code;
}
