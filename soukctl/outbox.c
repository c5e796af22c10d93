/* soukctl outbox: what services have to tell, straight from their databases, also while no worker
 * runs. */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"

#define LIMIT_MAX 1000
#define LIMIT_DEFAULT "20"

static const char s_usage[] =
    "usage: soukctl outbox show [--service users|orders] [--type TYPE] [--limit N]\n"
    "\n"
    "Prints the newest events of the services' outboxes, the newest last, each as a line of JSON. "
    "Reads the\n"
    "databases of SOUK_USERS_DATABASE_URL and SOUK_ORDERS_DATABASE_URL. docs/api/events.md "
    "describes the events.\n"
    "\n"
    "Payloads hold what mails will hold, such as tokens that reset a password: print them nowhere "
    "that\n"
    "others read.\n"
    "\n"
    "  --service NAME   of this service (default: of both)\n"
    "  --type TYPE      of this type, such as order.placed (default: of all)\n"
    "  --limit N        at most so many of each service, 1 to 1000 (default " LIMIT_DEFAULT ")\n"
    "\n"
    "Exit codes: 0 printed, 1 the database refused, 2 usage, 3 the database cannot be reached.\n";

/* Ids begin with their time, so the key's index has the newest at its end. */
static const char s_query[] =
    "SELECT line FROM (SELECT id, json_build_object('service', $1::text, 'id', id, 'type', type, "
    "'aggregate', aggregate, 'sequence', sequence, 'created_at', to_char(created_at AT TIME ZONE "
    "'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), 'payload', payload)::text AS line FROM outbox "
    "WHERE $2::text IS NULL OR type = $2 ORDER BY id DESC LIMIT $3::bigint) newest ORDER BY id";

typedef struct {
    const char *service, *type, *limit; /* NULL: of all */
} souk_outbox_options_t;

static int s_failed(const char *service, const PGconn *connection, int code) {
    (void)fprintf(stderr, "soukctl outbox: %s: %s", service, PQerrorMessage(connection));
    return code;
}

static PGconn *s_connect(const char *url) {
    const char *const names[] = {"dbname", "application_name", "connect_timeout", "options", NULL};
    const char *const values[] = {url, "soukctl", "5",
                                  "-c default_transaction_read_only=on -c statement_timeout=10000",
                                  NULL};
    return PQconnectdbParams(names, values, /* expand_dbname= */ 1);
}

static int s_print(PGconn *connection, const char *service, const souk_outbox_options_t *chosen) {
    const char *const values[] = {service, chosen->type, chosen->limit};
    PGresult *rows = PQexecParams(connection, s_query, (int)SOUK_COUNT_OF(values), NULL, values,
                                  NULL, NULL, /* resultFormat= */ 0);
    int code = SOUKCTL_OK;
    if (PQresultStatus(rows) != PGRES_TUPLES_OK) {
        bool refused = PQstatus(connection) == CONNECTION_OK;
        code = s_failed(service, connection, refused ? SOUKCTL_REFUSED : SOUKCTL_AWAY);
    }
    for (int i = 0; i < PQntuples(rows); i++) {
        (void)puts(PQgetvalue(rows, i, 0));
    }
    PQclear(rows);
    return code;
}

static int s_show_service(const char *service, const char *url,
                          const souk_outbox_options_t *chosen) {
    if (chosen->service != NULL && strcmp(chosen->service, service) != 0) {
        return SOUKCTL_OK;
    }
    PGconn *connection = s_connect(url);
    int code = PQstatus(connection) == CONNECTION_OK ? s_print(connection, service, chosen)
                                                     : s_failed(service, connection, SOUKCTL_AWAY);
    PQfinish(connection);
    return code;
}

static int s_show(const souk_soukctl_config_t *config, const souk_outbox_options_t *chosen) {
    int users = s_show_service("users", config->users_database_url, chosen);
    int orders = s_show_service("orders", config->orders_database_url, chosen);
    return users != SOUKCTL_OK ? users : orders;
}

/* -1: chosen is complete; else the exit code. */
static int s_parse(int argc, char **argv, souk_outbox_options_t *chosen) {
    static const struct option options[] = {{"service", required_argument, NULL, 's'},
                                            {"type", required_argument, NULL, 't'},
                                            {"limit", required_argument, NULL, 'l'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int option;
    int64_t limit;
    while ((option = souk_command_option(argc, argv, options)) >= 0) {
        switch (option) {
        case 's':
            if (strcmp(optarg, "users") != 0 && strcmp(optarg, "orders") != 0) {
                return souk_command_misuse(&outbox_command, "%s has no outbox", optarg);
            }
            chosen->service = optarg;
            break;
        case 't':
            chosen->type = optarg;
            break;
        case 'l':
            if (!souk_command_int(optarg, 1, LIMIT_MAX, &limit)) {
                return souk_command_misuse(&outbox_command, "--limit is 1 to %d", LIMIT_MAX);
            }
            chosen->limit = optarg;
            break;
        case 'h':
            return souk_command_help(&outbox_command);
        default:
            return souk_command_misuse(&outbox_command, "unknown option");
        }
    }
    return -1;
}

static int s_run(const souk_soukctl_config_t *config, int argc, char **argv) {
    souk_outbox_options_t chosen = {.limit = LIMIT_DEFAULT};
    int code = s_parse(argc, argv, &chosen);
    if (code >= 0) {
        return code;
    }
    if (argc - optind != 1 || strcmp(argv[optind], "show") != 0) {
        return souk_command_misuse(&outbox_command, "what is wanted? show");
    }
    return s_show(config, &chosen);
}

const souk_command_t outbox_command = {.name = "outbox",
                                       .summary = "show the events that services have to tell",
                                       .usage = s_usage,
                                       .run = s_run};
