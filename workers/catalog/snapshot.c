#include "snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "souk/mp.h"

#define MAGIC "SOUKCAT1"
#define MAGIC_BYTES 8
#define DIGEST_BYTES 32
#define ENTITY_FIELDS 6
#define FILE_BYTES_MAX ((size_t)8 * 1024 * 1024 * 1024)
#define PATH_BYTES 4352
#define SUFFIX ".snap"

struct catalog_snapshot {
    souk_buf_t buf;
};

static void s_add(void *arg, const catalog_change_t *change) {
    souk_buf_t *buf = arg;
    souk_mp_write_array(buf, ENTITY_FIELDS);
    souk_mp_write_uint(buf, (uint64_t)change->kind);
    souk_mp_write_str(buf, change->entity_id);
    souk_mp_write_int(buf, change->version);
    souk_mp_write_int(buf, change->revision);
    souk_mp_write_bool(buf, change->deleted);
    souk_mp_write_bin(buf, change->document);
}

/* Behind the entities, to the end: pairs of a dropped SKU and the product that it stays bound to.
 */
static void s_add_sku(void *arg, souk_str_t sku, souk_str_t product_id) {
    souk_buf_t *buf = arg;
    souk_mp_write_str(buf, sku);
    souk_mp_write_str(buf, product_id);
}

catalog_snapshot_t *catalog_snapshot_collect(const catalog_index_t *index, const char *identity) {
    catalog_snapshot_t *self = calloc(1, sizeof *self);
    souk_assert(self != NULL);
    souk_buf_init(&self->buf, FILE_BYTES_MAX);
    souk_buf_append(&self->buf, MAGIC, MAGIC_BYTES);
    souk_mp_write_array(&self->buf, 3);
    souk_mp_write_str(&self->buf, souk_str_of(identity));
    souk_mp_write_int(&self->buf, catalog_index_revision(index));
    souk_mp_write_uint(&self->buf, catalog_index_entities(index));
    catalog_index_each(index, s_add, &self->buf);
    catalog_index_each_dropped_sku(index, s_add_sku, &self->buf);
    return self;
}

void catalog_snapshot_destroy(catalog_snapshot_t **self_p) {
    souk_assert(self_p != NULL);
    if (*self_p != NULL) {
        souk_buf_done(&(*self_p)->buf);
        free(*self_p);
        *self_p = NULL;
    }
}

static bool s_write_all(int fd, const void *data, size_t bytes) {
    const char *at = data;
    while (bytes > 0) {
        ssize_t written = write(fd, at, bytes);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return false;
        }
        at += written;
        bytes -= (size_t)written;
    }
    return true;
}

souk_err_t catalog_snapshot_write(const catalog_snapshot_t *self, const char *directory,
                                  const char *name) {
    char path[PATH_BYTES], part[PATH_BYTES];
    if (self->buf.overflow ||
        snprintf(path, sizeof path, "%s/%s" SUFFIX, directory, name) >= (int)sizeof path ||
        snprintf(part, sizeof part, "%s/%s.part", directory, name) >= (int)sizeof part) {
        return SOUK_ERR_TOO_LARGE;
    }
    uint8_t digest[DIGEST_BYTES];
    crypto_generichash(digest, sizeof digest, self->buf.data, self->buf.size, NULL, 0);
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0) {
        return SOUK_ERR_IO;
    }
    bool written = s_write_all(fd, self->buf.data, self->buf.size) &&
                   s_write_all(fd, digest, sizeof digest) && fsync(fd) == 0;
    written = close(fd) == 0 && written;
    if (!written || rename(part, path) != 0) {
        (void)unlink(part);
        return SOUK_ERR_IO;
    }
    return SOUK_OK;
}

/* ---- reading ---- */

typedef struct {
    const uint8_t *data;
    size_t size;
} mapped_t;

static void s_unmap(mapped_t *mapped) {
    if (mapped->data != NULL) {
        (void)munmap((void *)(uintptr_t)mapped->data, mapped->size);
    }
}

static souk_err_t s_map(const char *path, mapped_t *ret) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return SOUK_ERR_IO;
    }
    void *data = MAP_FAILED;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
        status.st_size > MAGIC_BYTES + DIGEST_BYTES) {
        data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    (void)close(fd);
    if (data == MAP_FAILED) {
        return SOUK_ERR_MALFORMED;
    }
    *ret = (mapped_t){.data = data, .size = (size_t)status.st_size};
    return SOUK_OK;
}

typedef struct {
    souk_str_t identity;
    int64_t revision;
    uint64_t count;
} header_t;

static souk_err_t s_header(souk_mp_cursor_t *cursor, header_t *ret) {
    uint32_t fields = 0;
    SOUK_TRY(souk_mp_read_array(cursor, &fields));
    if (fields != 3) {
        return SOUK_ERR_MALFORMED;
    }
    SOUK_TRY(souk_mp_read_str(cursor, &ret->identity));
    SOUK_TRY(souk_mp_read_int(cursor, &ret->revision));
    SOUK_TRY(souk_mp_read_uint(cursor, UINT64_MAX, &ret->count));
    return ret->identity.size == CATALOG_IDENTITY_CHARS ? SOUK_OK : SOUK_ERR_MALFORMED;
}

static void s_cursor_of(const mapped_t *mapped, souk_mp_cursor_t *ret) {
    souk_mp_cursor_init(ret, mapped->data + MAGIC_BYTES, mapped->size - MAGIC_BYTES - DIGEST_BYTES);
}

static souk_err_t s_entity(souk_mp_cursor_t *cursor, catalog_change_t *ret) {
    uint32_t fields = 0;
    uint64_t kind = 0;
    SOUK_TRY(souk_mp_read_array(cursor, &fields));
    if (fields != ENTITY_FIELDS) {
        return SOUK_ERR_MALFORMED;
    }
    SOUK_TRY(souk_mp_read_uint(cursor, CATALOG_CATEGORY, &kind));
    ret->kind = (catalog_kind_t)kind;
    SOUK_TRY(souk_mp_read_str(cursor, &ret->entity_id));
    SOUK_TRY(souk_mp_read_int(cursor, &ret->version));
    SOUK_TRY(souk_mp_read_int(cursor, &ret->revision));
    SOUK_TRY(souk_mp_read_bool(cursor, &ret->deleted));
    return souk_mp_read_bin(cursor, &ret->document);
}

static souk_err_t s_build(const mapped_t *mapped, const char *currency, catalog_index_t **ret_index,
                          char ret_identity[CATALOG_IDENTITY_CHARS + 1]) {
    uint8_t digest[DIGEST_BYTES];
    size_t body_bytes = mapped->size - DIGEST_BYTES;
    crypto_generichash(digest, sizeof digest, mapped->data, body_bytes, NULL, 0);
    if (memcmp(mapped->data, MAGIC, MAGIC_BYTES) != 0 ||
        memcmp(mapped->data + body_bytes, digest, DIGEST_BYTES) != 0) {
        return SOUK_ERR_MALFORMED;
    }
    souk_mp_cursor_t cursor;
    header_t header = {0};
    s_cursor_of(mapped, &cursor);
    SOUK_TRY(s_header(&cursor, &header));
    SOUK_CLEANUP(catalog_index_destroy) catalog_index_t *index = catalog_index_new(currency);
    for (uint64_t i = 0; i < header.count; i++) {
        catalog_change_t change = {0};
        SOUK_TRY(s_entity(&cursor, &change));
        SOUK_TRY(catalog_index_apply(index, &change));
    }
    while (!souk_mp_at_end(&cursor)) {
        souk_str_t sku, product_id;
        SOUK_TRY(souk_mp_read_str(&cursor, &sku));
        SOUK_TRY(souk_mp_read_str(&cursor, &product_id));
        catalog_index_remember_sku(index, sku, product_id);
    }
    catalog_index_skip(index, header.revision);
    memcpy(ret_identity, header.identity.data, CATALOG_IDENTITY_CHARS);
    ret_identity[CATALOG_IDENTITY_CHARS] = '\0';
    *ret_index = index;
    index = NULL;
    return SOUK_OK;
}

/* The revision that a file says it holds, 0 when it cannot be read: enough to try the newest first.
 */
static int64_t s_revision_of(const char *path) {
    mapped_t mapped = {0};
    header_t header = {0};
    souk_mp_cursor_t cursor;
    if (s_map(path, &mapped) != SOUK_OK) {
        return 0;
    }
    s_cursor_of(&mapped, &cursor);
    souk_err_t err = memcmp(mapped.data, MAGIC, MAGIC_BYTES) == 0 ? s_header(&cursor, &header)
                                                                  : SOUK_ERR_MALFORMED;
    s_unmap(&mapped);
    return err == SOUK_OK ? header.revision : 0;
}

/* The file with the highest revision below under (0: of all). */
static int64_t s_newest(const char *directory, int64_t under, char ret_path[PATH_BYTES]) {
    int64_t best = 0;
    DIR *dir = opendir(directory);
    if (dir == NULL) {
        return 0;
    }
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char path[PATH_BYTES];
        size_t size = strlen(entry->d_name);
        if (size <= strlen(SUFFIX) || strcmp(entry->d_name + size - strlen(SUFFIX), SUFFIX) != 0 ||
            snprintf(path, sizeof path, "%s/%s", directory, entry->d_name) >= (int)sizeof path) {
            continue;
        }
        int64_t revision = s_revision_of(path);
        if (revision > best && (under == 0 || revision < under)) {
            best = revision;
            memcpy(ret_path, path, sizeof path);
        }
    }
    (void)closedir(dir);
    return best;
}

souk_err_t catalog_snapshot_load(const char *directory, const char *currency,
                                 catalog_index_t **ret_index,
                                 char ret_identity[CATALOG_IDENTITY_CHARS + 1]) {
    char path[PATH_BYTES];
    souk_err_t err = SOUK_ERR_NOT_FOUND;
    for (int64_t revision = s_newest(directory, 0, path); revision > 0;
         revision = s_newest(directory, revision, path)) {
        mapped_t mapped = {0};
        err = s_map(path, &mapped);
        if (err == SOUK_OK) {
            err = s_build(&mapped, currency, ret_index, ret_identity);
            s_unmap(&mapped);
        }
        if (err == SOUK_OK) {
            return SOUK_OK;
        }
    }
    return err;
}
