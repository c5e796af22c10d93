/* soukctl apikey: keys for the admin routes, in the file that the gateway follows (gateway/auth.h).
 * The file holds only hashes; a key is shown once. Changes replace the file by rename, under a lock
 * on its folder, so that a reader never sees half a file and two commands do not lose each other's
 * change. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "command.h"
#include "souk/id.h"

#define ID_RANDOM_BYTES 6
#define SECRET_RANDOM_BYTES 32
#define SCOPES_MAX 32
#define SCOPE_BYTES_MAX 64
#define KEYS_MAX 1024
#define PATH_BYTES_MAX 4096

static const char s_usage[] =
    "usage: soukctl apikey new --name NAME --scopes SCOPE[,SCOPE]... [--file FILE]\n"
    "       soukctl apikey list [--file FILE]\n"
    "       soukctl apikey revoke ID [--file FILE]\n"
    "\n"
    "new prints a key for Authorization: Bearer; it is shown this once, the file keeps only its "
    "hash.\n"
    "A running gateway follows the file within two seconds.\n"
    "\n"
    "  --name NAME      what people see, at most 64 bytes\n"
    "  --scopes LIST    such as catalog:write; * stands for all\n"
    "  --file FILE      default var/keys.json\n"
    "\n"
    "Exit codes: 0 done, 2 usage, 4 the file cannot be read or written.\n"
    "\n"
    "example: soukctl apikey new --name importer --scopes catalog:write\n";

typedef struct {
    const char *file, *name, *scopes;
} souk_apikey_options_t;

/* ---- The file ----------------------------------------------------------------------------------
 */

static int s_fail(const char *what, const char *file, const char *why) {
    (void)fprintf(stderr, "soukctl apikey: %s %s: %s\n", what, file, why);
    return SOUKCTL_FAILED;
}

/* The folder of the file, opened and locked; -1 with errno. Closing it unlocks. */
static int s_lock_folder(const char *file, char ret_folder[PATH_BYTES_MAX]) {
    const char *slash = strrchr(file, '/');
    size_t bytes = slash == NULL ? 0 : slash == file ? 1 : (size_t)(slash - file);
    (void)snprintf(ret_folder, PATH_BYTES_MAX, "%.*s", slash == NULL ? 1 : (int)bytes,
                   slash == NULL ? "." : file);
    int fd = open(ret_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* NULL: reported. A file that is not there is an empty set. */
static json_t *s_read(const char *file) {
    if (access(file, F_OK) != 0 && errno == ENOENT) {
        return json_pack("{s:[]}", "keys");
    }
    json_error_t error;
    json_t *root = json_load_file(file, 0, &error);
    if (root == NULL) {
        (void)s_fail("cannot read", file, error.text);
        return NULL;
    }
    if (!json_is_array(json_object_get(root, "keys"))) {
        (void)s_fail("cannot use", file, "it has no list \"keys\"");
        json_decref(root);
        return NULL;
    }
    return root;
}

static bool s_write_all(int fd, const char *text, size_t bytes) {
    while (bytes > 0) {
        ssize_t wrote = write(fd, text, bytes);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            return false;
        }
        text += wrote;
        bytes -= (size_t)wrote;
    }
    return true;
}

/* Owner only (mkstemp makes 0600), on the disk before it takes the name. */
static bool s_replace(const json_t *root, const char *file, const char *folder, int folder_fd) {
    char path[PATH_BYTES_MAX + 16];
    (void)snprintf(path, sizeof(path), "%s/.keys.XXXXXX", folder);
    char *text = json_dumps(root, JSON_INDENT(2));
    int fd = text != NULL ? mkstemp(path) : -1;
    bool done = fd >= 0 && s_write_all(fd, text, strlen(text)) && s_write_all(fd, "\n", 1) &&
                fsync(fd) == 0 && rename(path, file) == 0 && fsync(folder_fd) == 0;
    int saved = errno;
    if (fd >= 0) {
        close(fd);
        if (!done) {
            (void)unlink(path);
        }
    }
    free(text);
    errno = saved;
    return done;
}

/* Reads, lets change edit the list, writes. change returns an exit code; only SOUKCTL_OK is
 * written. */
static int s_edit(const char *file, int (*change)(json_t *keys, void *arg), void *arg) {
    char folder[PATH_BYTES_MAX];
    if (strlen(file) >= PATH_BYTES_MAX) {
        return s_fail("cannot use", file, "its name is too long");
    }
    int folder_fd = s_lock_folder(file, folder);
    if (folder_fd < 0) {
        return s_fail("cannot open the folder of", file, strerrordesc_np(errno));
    }
    int code = SOUKCTL_FAILED;
    json_t *root = s_read(file);
    if (root != NULL) {
        code = change(json_object_get(root, "keys"), arg);
        if (code == SOUKCTL_OK && !s_replace(root, file, folder, folder_fd)) {
            code = s_fail("cannot write", file, strerrordesc_np(errno));
        }
        json_decref(root);
    }
    close(folder_fd);
    return code;
}

/* ---- new
 * ----------------------------------------------------------------------------------------- */

typedef struct {
    const souk_apikey_options_t *options;
    char id[2 * ID_RANDOM_BYTES + 1];
    char secret[2 * SECRET_RANDOM_BYTES + 1];
} souk_apikey_new_t;

static void s_random_hex(size_t bytes, char *ret_hex) {
    uint8_t random[SECRET_RANDOM_BYTES];
    souk_assert(bytes <= sizeof(random));
    souk_random(random, bytes);
    souk_hex(random, bytes, ret_hex);
    ret_hex[2 * bytes] = '\0';
    sodium_memzero(random, sizeof(random));
}

/* NULL: the list is not valid. */
static json_t *s_scopes(const char *list) {
    json_t *scopes = json_array();
    while (scopes != NULL) {
        size_t bytes = strcspn(list, ",");
        if (bytes == 0 || bytes > SCOPE_BYTES_MAX || json_array_size(scopes) == SCOPES_MAX ||
            json_array_append_new(scopes, json_stringn(list, bytes)) != 0) {
            json_decref(scopes);
            return NULL;
        }
        if (list[bytes] == '\0') {
            return scopes;
        }
        list += bytes + 1;
    }
    return NULL;
}

static int s_add(json_t *keys, void *arg) {
    souk_apikey_new_t *self = arg;
    if (json_array_size(keys) >= KEYS_MAX) {
        return s_fail("cannot add to", self->options->file, "it is full (1024 keys)");
    }
    json_t *scopes = s_scopes(self->options->scopes);
    if (scopes == NULL) {
        return souk_command_misuse(&apikey_command,
                                   "--scopes is a list of 1 to 32 names of at most 64 bytes");
    }
    s_random_hex(ID_RANDOM_BYTES, self->id);
    s_random_hex(SECRET_RANDOM_BYTES, self->secret);
    uint8_t hash[crypto_hash_sha256_BYTES];
    char hash_hex[2 * sizeof(hash) + 1];
    crypto_hash_sha256(hash, (const uint8_t *)self->secret, strlen(self->secret));
    souk_hex(hash, sizeof(hash), hash_hex);
    hash_hex[2 * sizeof(hash)] = '\0';
    json_t *key = json_pack("{s:s, s:s, s:s, s:o}", "id", self->id, "name", self->options->name,
                            "sha256", hash_hex, "scopes", scopes);
    if (key == NULL || json_array_append_new(keys, key) != 0) {
        return souk_command_misuse(&apikey_command, "--name must be UTF-8");
    }
    return SOUKCTL_OK;
}

static int s_new(const souk_apikey_options_t *options) {
    if (options->name == NULL || options->scopes == NULL || options->name[0] == '\0' ||
        strlen(options->name) > 64) {
        return souk_command_misuse(&apikey_command, "new wants --name and --scopes");
    }
    souk_apikey_new_t self = {.options = options};
    int code = s_edit(options->file, s_add, &self);
    if (code == SOUKCTL_OK) {
        (void)printf("souk_%s_%s\n", self.id, self.secret);
    }
    sodium_memzero(&self, sizeof(self));
    return code;
}

/* ---- list and revoke
 * ----------------------------------------------------------------------------- */

static int s_list(const souk_apikey_options_t *options) {
    json_t *root = s_read(options->file);
    if (root == NULL) {
        return SOUKCTL_FAILED;
    }
    size_t index;
    json_t *key;
    json_array_foreach(json_object_get(root, "keys"), index, key) {
        const char *id = json_string_value(json_object_get(key, "id"));
        const char *name = json_string_value(json_object_get(key, "name"));
        (void)printf("%-16s %s ", id != NULL ? id : "?", name != NULL ? name : "");
        size_t at;
        json_t *scope;
        json_array_foreach(json_object_get(key, "scopes"), at, scope) {
            (void)printf("%s%s", at == 0 ? "[" : ",",
                         json_is_string(scope) ? json_string_value(scope) : "?");
        }
        (void)printf("%s\n", json_array_size(json_object_get(key, "scopes")) > 0 ? "]" : "[]");
    }
    json_decref(root);
    return SOUKCTL_OK;
}

static int s_remove(json_t *keys, void *arg) {
    const char *id = arg;
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const char *has = json_string_value(json_object_get(json_array_get(keys, i), "id"));
        if (has != NULL && strcmp(has, id) == 0) {
            return json_array_remove(keys, i) == 0 ? SOUKCTL_OK : SOUKCTL_FAILED;
        }
    }
    return souk_command_misuse(&apikey_command, "there is no key with this id");
}

/* ---- Arguments
 * ----------------------------------------------------------------------------------- */

static int s_run(const souk_soukctl_config_t *config, int argc, char **argv) {
    (void)config;
    static const struct option options[] = {{"name", required_argument, NULL, 'n'},
                                            {"scopes", required_argument, NULL, 's'},
                                            {"file", required_argument, NULL, 'f'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    souk_apikey_options_t chosen = {.file = "var/keys.json"};
    int option;
    while ((option = souk_command_option(argc, argv, options)) >= 0) {
        switch (option) {
        case 'n':
            chosen.name = optarg;
            break;
        case 's':
            chosen.scopes = optarg;
            break;
        case 'f':
            chosen.file = optarg;
            break;
        case 'h':
            return souk_command_help(&apikey_command);
        default:
            return souk_command_misuse(&apikey_command, "unknown option");
        }
    }
    int left = argc - optind;
    const char *what = left > 0 ? argv[optind] : "";
    if (left == 1 && strcmp(what, "new") == 0) {
        return s_new(&chosen);
    }
    if (left == 1 && strcmp(what, "list") == 0) {
        return s_list(&chosen);
    }
    if (left == 2 && strcmp(what, "revoke") == 0) {
        return s_edit(chosen.file, s_remove, argv[optind + 1]);
    }
    return souk_command_misuse(&apikey_command, "new, list or revoke ID is wanted");
}

const souk_command_t apikey_command = {
    .name = "apikey", .summary = "make, list and revoke API keys", .usage = s_usage, .run = s_run};
