/* Runs a fuzz target on all files of a folder, once each, and says so in TAP: the main of
 * a target that is linked without libFuzzer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bus/alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Exactly as many bytes as there are, so that a sanitizer sees a read beyond them. */
static int replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        return -1;
    const size_t size = (size_t)ftell(file);
    rewind(file);
    uint8_t *data = malloc(size > 0 ? size : 1);
    const size_t got = data != NULL ? fread(data, 1, size, file) : 0;
    fclose(file);
    if (data != NULL && got == size)
        LLVMFuzzerTestOneInput(data, size);
    free(data);
    return got == size ? 0 : -1;
}

static int wanted(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    struct dirent **entries = NULL;
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    const int count = scandir(argv[1], &entries, wanted, alphasort);
    if (count < 1) {
        fprintf(stderr, "%s: nothing there\n", argv[1]);
        return 1;
    }
    printf("1..%d\n", count);
    int failed = 0;
    for (int i = 0; i < count; i++) {
        char *path = alloc_zero(strlen(argv[1]) + strlen(entries[i]->d_name) + 2);
        sprintf(path, "%s/%s", argv[1], entries[i]->d_name);
        printf("# %s\n", entries[i]->d_name); /* what ends the process is named before */
        fflush(stdout);
        const int code = replay(path);
        printf("%sok %d %s\n", code != 0 ? "not " : "", i + 1, entries[i]->d_name);
        fflush(stdout);
        failed += code != 0;
        free(path);
        free(entries[i]);
    }
    free(entries);
    return failed > 0;
}
