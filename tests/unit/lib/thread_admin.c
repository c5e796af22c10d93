/* The admin endpoint as its users see it: over TCP. A plain program, so that it also runs under
 * TSan. */
#include "souk/admin.h"
#include "souk/metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int s_failures;

#define CHECK(expr)                                                                                \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expr);                             \
            s_failures++;                                                                          \
        }                                                                                          \
    } while (0)

static const souk_metric_decl_t s_decls[] = {
    {.name = "t_total", .help = "T.", .kind = SOUK_METRIC_COUNTER, .series_max = 1}};

static int s_route(void *arg, souk_str_t rest, souk_buf_t *body) {
    if (souk_str_equal(rest, SOUK_STR("none"))) {
        return 404;
    }
    souk_buf_printf(body, "{\"arg\":\"%s\",\"rest\":\"%.*s\"}", (const char *)arg, (int)rest.size,
                    rest.data);
    return 200;
}

static int s_open(uint16_t port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval limit = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
    return fd;
}

static char s_answer[65536];

/* Everything that the peer sends until it closes. */
static const char *s_read_all(int fd) {
    size_t size = 0;
    ssize_t got;
    while (size < sizeof(s_answer) - 1 &&
           (got = read(fd, s_answer + size, sizeof(s_answer) - 1 - size)) > 0) {
        size += (size_t)got;
    }
    s_answer[size] = '\0';
    close(fd);
    return s_answer;
}

static const char *s_ask(uint16_t port, const char *request) {
    int fd = s_open(port);
    CHECK(send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request));
    return s_read_all(fd);
}

static bool s_has(const char *answer, const char *status, const char *part) {
    bool has = strncmp(answer, "HTTP/1.1 ", 9) == 0 && strncmp(answer + 9, status, 3) == 0 &&
               strstr(answer, part) != NULL;
    if (!has) {
        fprintf(stderr, "got: %s\n", answer);
    }
    return has;
}

#define GET(path) s_ask(port, "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n")

static void s_health(uint16_t port) {
    CHECK(s_has(GET("/readyz"), "503", "\"status\":\"starting\""));
    CHECK(s_has(GET("/healthz"), "200", "\"status\":\"starting\""));
    souk_health_set(SOUK_HEALTH_READY, NULL);
    CHECK(s_has(GET("/readyz"), "200", "{\"status\":\"ready\"}\n"));
    souk_health_set(SOUK_HEALTH_DEGRADED, "mongo \"away\"");
    CHECK(s_has(GET("/readyz?verbose=1"), "200", "\"reason\":\"mongo \\\"away\\\"\""));
    souk_health_set(SOUK_HEALTH_DRAINING, NULL);
    CHECK(s_has(GET("/readyz"), "503", "draining"));
    CHECK(s_has(GET("/healthz"), "200", "draining"));
    souk_health_set(SOUK_HEALTH_FAILED, "gone");
    CHECK(s_has(GET("/healthz"), "503", "failed"));
    CHECK(souk_health_get() == SOUK_HEALTH_FAILED);
}

static void s_routes(uint16_t port) {
    souk_metric_add(souk_metric(0, NULL), 41);
    CHECK(s_has(GET("/metrics"), "200", "\nt_total 41\n"));
    CHECK(s_has(GET("/v1/queues"), "200", "{\"arg\":\"a\",\"rest\":\"\"}"));
    CHECK(s_has(GET("/v1/queues/catalog"), "200", "\"rest\":\"catalog\""));
    CHECK(s_has(GET("/v1/queues/none"), "404", "{\"status\":404}"));
    CHECK(s_has(GET("/v1/queuesx"), "404", ""));
    CHECK(s_has(GET("/"), "404", ""));
    const char *head = s_ask(port, "HEAD /metrics HTTP/1.1\r\n\r\n");
    CHECK(s_has(head, "200", "Content-Length: ") && strstr(head, "t_total") == NULL);
}

static void s_bad_requests(uint16_t port) {
    CHECK(s_has(s_ask(port, "POST /metrics HTTP/1.1\r\n\r\n"), "405", "Allow: GET, HEAD"));
    CHECK(s_has(s_ask(port, "GET\r\n\r\n"), "400", ""));
    CHECK(s_has(s_ask(port, "GET metrics HTTP/1.1\r\n\r\n"), "400", ""));
    CHECK(s_has(s_ask(port, "GET /metrics\r\n\r\n"), "400", ""));
    CHECK(s_has(s_ask(port, "GET /metrics HTTP/2.0\r\n\r\n"), "400", ""));
    CHECK(s_has(s_ask(port, "\r\n\r\n"), "400", ""));
    static char big[5000];
    memset(big, 'a', 4096);
    CHECK(s_has(s_ask(port, big), "431", ""));
}

/* More idle connections than the table has rows: the answer comes when the idle ones are thrown
 * out. */
static void s_slow_clients(uint16_t port) {
    int idle[40];
    for (size_t i = 0; i < SOUK_COUNT_OF(idle); i++) {
        idle[i] = s_open(port);
        CHECK(send(idle[i], "GET /", 5, MSG_NOSIGNAL) == 5);
    }
    CHECK(s_has(GET("/metrics"), "200", "t_total"));
    for (size_t i = 0; i < SOUK_COUNT_OF(idle); i++) {
        close(idle[i]);
    }
}

int main(void) {
    static char name[] = "a";
    souk_metrics_init(s_decls, SOUK_COUNT_OF(s_decls));
    const souk_admin_route_t route = {.prefix = "/v1/queues", .fn = s_route, .arg = name};
    souk_admin_t *admin = NULL, *second = NULL;
    CHECK(souk_admin_start("127.0.0.1", 0, &route, 1, &admin) == SOUK_OK);
    if (admin == NULL) {
        return 1;
    }
    uint16_t port = souk_admin_port(admin);
    CHECK(port != 0);
    CHECK(souk_admin_start("127.0.0.1", port, NULL, 0, &second) == SOUK_ERR_IO &&
          errno == EADDRINUSE);
    CHECK(souk_admin_start("localhost", 0, NULL, 0, &second) == SOUK_ERR_IO);
    s_health(port);
    s_routes(port);
    s_bad_requests(port);
    s_slow_clients(port);
    souk_admin_stop(&admin);
    CHECK(admin == NULL);
    souk_admin_stop(&admin);
    souk_metrics_done();
    return s_failures == 0 ? 0 : 1;
}
