/* pack_images.c - a program of the build, for the machine that builds: writes a C file that holds images, packed, and
 * the list cei_cuda_images (images.h).
 *
 *     pack_images TO IMAGE...    an image is KIND:CAPABILITY:LEVEL:FILE, KIND ptx or cubin, CAPABILITY 80 or 90a
 *
 * An image is pieces of: how many bytes follow as they are, these bytes; the length and the distance of bytes that came
 * before and come again (Ziv and Lempel 1977). Behind the last bytes there is none. Numbers have seven bits a byte. PTX
 * gets a NUL behind it, for the driver. Relies on the C library alone. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_MATCH = 5, HASH_BITS = 16, MOST_TRIES = 256, OF_LINE = 24 };

typedef struct image {
    unsigned char *bytes;
    size_t size;
    int *before; /* the place before each one with the same hash, or -1 */
    int latest[1 << HASH_BITS];
    FILE *to;
    size_t packed;
} image;

static void fail(const char *what, const char *name) {
    fprintf(stderr, "pack_images: %s %s\n", what, name);
    exit(1);
}

static void *allocate(size_t bytes) {
    void *memory = malloc(bytes);
    if (!memory) fail("no memory for", "an image");
    return memory;
}

static void read_file(image *all, const char *name, bool with_nul) {
    FILE *file = fopen(name, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) fail("cannot read", name);
    const long size = ftell(file);
    if (size <= 0 || size > 1 << 27) fail("is empty or too large:", name);
    rewind(file);
    all->size = (size_t)size + with_nul;
    all->bytes = allocate(all->size + 1);
    all->before = allocate(all->size * sizeof *all->before);
    if (fread(all->bytes, 1, (size_t)size, file) != (size_t)size) fail("cannot read", name);
    all->bytes[size] = 0;
    fclose(file);
    memset(all->latest, 0xFF, sizeof all->latest);
}

static unsigned hash_of(const unsigned char *at) {
    unsigned word;
    memcpy(&word, at, sizeof word);
    return word * 2654435761u >> (32 - HASH_BITS);
}

static void remember(image *all, size_t at) {
    if (at + sizeof(unsigned) > all->size) return;
    int *latest = &all->latest[hash_of(all->bytes + at)];
    all->before[at] = *latest;
    *latest = (int)at;
}

/* The longest bytes before that come again at a place; 0 if they are not worth it. */
static size_t find_match(const image *all, size_t at, size_t *distance) {
    size_t best = 0;
    if (at + LEAST_MATCH > all->size) return 0;
    int from = all->latest[hash_of(all->bytes + at)];
    for (int tries = 0; from >= 0 && tries < MOST_TRIES; tries++, from = all->before[from]) {
        size_t length = 0;
        while (at + length < all->size && all->bytes[(size_t)from + length] == all->bytes[at + length]) length++;
        if (length <= best) continue;
        best = length;
        *distance = at - (size_t)from;
    }
    return best < LEAST_MATCH ? 0 : best;
}

static void put_byte(image *all, unsigned char byte) {
    fprintf(all->to, "%u,%s", byte, ++all->packed % OF_LINE ? "" : "\n");
}

static void put_number(image *all, size_t number) {
    for (; number >= 0x80; number >>= 7) put_byte(all, (unsigned char)(number | 0x80));
    put_byte(all, (unsigned char)number);
}

static void put_literals(image *all, size_t from, size_t to) {
    put_number(all, to - from);
    for (; from < to; from++) put_byte(all, all->bytes[from]);
}

static void pack(image *all) {
    size_t literals = 0, at = 0, distance = 0;
    while (at < all->size) {
        const size_t length = find_match(all, at, &distance);
        if (length > 0) {
            put_literals(all, literals, at);
            put_number(all, length);
            put_number(all, distance);
        }
        const size_t end = at + (length > 0 ? length : 1);
        for (; at < end; at++) remember(all, at);
        if (length > 0) literals = at;
    }
    if (literals < all->size) put_literals(all, literals, all->size);
}

/* Writes one image as the array image_NUMBER, and its line of the list. */
static void write_image(FILE *to, char *what, int number, char *line, size_t size) {
    static image all;
    const char *kind = strtok(what, ":"), *capability = strtok(NULL, ":"), *level = strtok(NULL, ":");
    const char *name = strtok(NULL, "");
    if (!name) fail("not KIND:CAPABILITY:LEVEL:FILE:", what);
    const bool is_cubin = strcmp(kind, "cubin") == 0;
    all.to = to;
    all.packed = 0;
    read_file(&all, name, !is_cubin);
    fprintf(to, "static const unsigned char image_%d[] = {\n", number);
    pack(&all);
    fprintf(to, "};\n\n");
    snprintf(line, size, "    {%d, %d, %d, %s, %zu, %zu, image_%d},\n", atoi(capability), is_cubin,
             strchr(capability, 'a') != NULL, level, all.packed, all.size, number);
    free(all.bytes);
    free(all.before);
}

int main(int count, char **arguments) {
    enum { MOST_IMAGES = 32, LINE = 128 };
    static char lines[MOST_IMAGES][LINE];
    FILE *to = count > 2 && count - 2 <= MOST_IMAGES ? fopen(arguments[1], "w") : NULL;
    if (!to) fail("usage: pack_images TO IMAGE..., at most 32; or cannot write", count > 1 ? arguments[1] : "");
    fprintf(to, "/* The kernels of cuda:N. Generated by pack_images.c. */\n#include \"device/cuda/images.h\"\n\n");
    for (int i = 2; i < count; i++) write_image(to, arguments[i], i, lines[i - 2], LINE);
    fprintf(to, "const cei_cuda_image cei_cuda_images[] = {\n");
    for (int i = 2; i < count; i++) fputs(lines[i - 2], to);
    fprintf(to, "    {0, 0, 0, 0, 0, 0, NULL},\n};\n");
    if (fclose(to) != 0) fail("cannot write", arguments[1]);
    return 0;
}
