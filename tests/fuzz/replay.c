/* Runs a fuzz target over every file of its corpus: what ctest does where libFuzzer is not linked.
 * Each input is copied into a block of exactly its size, so that AddressSanitizer sees a read past
 * its end. */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Returns false and says why when the file cannot be read. */
static bool s_replay(const char *path, size_t size) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        return false;
    }
    uint8_t *data = malloc(size > 0 ? size : 1);
    bool whole = data != NULL && fread(data, 1, size, file) == size;
    fclose(file);
    if (whole) {
        (void)LLVMFuzzerTestOneInput(data, size);
    } else {
        fprintf(stderr, "replay: %s cannot be read whole\n", path);
    }
    free(data);
    return whole;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
        return 2;
    }
    DIR *folder = opendir(argv[1]);
    if (folder == NULL) {
        fprintf(stderr, "replay: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    size_t count = 0;
    bool good = true;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[4096];
        struct stat status;
        int bytes = snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
        if (bytes < 0 || (size_t)bytes >= sizeof(path) || stat(path, &status) != 0) {
            fprintf(stderr, "replay: %s/%s: no such file\n", argv[1], entry->d_name);
            good = false;
        } else if (S_ISREG(status.st_mode)) {
            good = s_replay(path, (size_t)status.st_size) && good;
            count++;
        }
    }
    closedir(folder);
    printf("replay: %zu inputs\n", count);
    return good && count > 0 ? 0 : 1;
}
