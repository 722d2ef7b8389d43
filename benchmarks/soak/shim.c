/* Counts the calls by which a process changes files in a folder; at the N-th it kills the process, or fails the call.

   Loaded before the C library (LD_PRELOAD), so that it sees what Python, TensorFlow's C++ and OpenCV do alike. It does
   nothing until `soak_arm` is called, or where SOAK_FOLDER is set when a process starts. Each counted call is a line in
   SOAK_LOG. A kill at a write comes in its middle: half of it is on the disk. A call that fails is the first on a disk
   that is full: from then on, all that need space fail. Renaming may be the first, and goes on later; taking away never
   fails. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static char folder[PATH_MAX];
static long at;     /* the number of the call, from 1; 0: never */
static int failure; /* an errno; 0: SIGKILL */
static long count;
static int log_fd = -1;

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

void soak_arm(const char *where, long number, int error, const char *log) {
    folder[0] = 0;
    count = 0, at = number, failure = error;
    if (log && *log) log_fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (!realpath(where, folder)) snprintf(folder, sizeof folder, "%s", where);
}

__attribute__((constructor)) static void start(void) {
    const char *where = getenv("SOAK_FOLDER"), *number = getenv("SOAK_AT"), *error = getenv("SOAK_ERROR");
    if (where && *where) soak_arm(where, number ? atol(number) : 0, error ? atoi(error) : 0, getenv("SOAK_LOG"));
}

static int is_inside(const char *path) {
    char here[PATH_MAX], full[2 * PATH_MAX];
    size_t length = strlen(folder);
    if (!length || !path) return 0;
    if (path[0] != '/' && getcwd(here, sizeof here)) {
        snprintf(full, sizeof full, "%s/%s", here, path[0] == '.' && path[1] == '/' ? path + 2 : path);
        path = full;
    }
    return !strncmp(path, folder, length) && (!path[length] || path[length] == '/');
}

static const char *of_fd(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return path[0] == '/' ? path : strcpy(path, "/"); /* of a pipe or a socket it is no path */
}

static const char *at_fd(int fd, const char *name, char *path) {
    if (fd == AT_FDCWD || name[0] == '/') return name;
    of_fd(fd, path);
    size_t length = strlen(path);
    snprintf(path + length, PATH_MAX - length, "/%s", name);
    return path;
}

enum { NOTHING, KILL, FAIL };          /* what is to be done to a call */
enum { NEVER, AS_THE_FIRST, ALWAYS }; /* when a call fails on a disk that is full */

static int comes(const char *call, const char *path, int fails) {
    char line[PATH_MAX + 64];
    if (!folder[0] || !is_inside(path)) return NOTHING;
    long number = __sync_add_and_fetch(&count, 1);
    if (log_fd >= 0) {
        int length = snprintf(line, sizeof line, "%ld %s %s\n", number, call, path);
        syscall(SYS_write, log_fd, line, (size_t)length);
    }
    if (!at || number < at) return NOTHING;
    if (!failure) return number == at ? KILL : NOTHING;
    if (fails == NEVER || (fails == AS_THE_FIRST && number > at)) return NOTHING;
    errno = failure;
    return FAIL;
}

__attribute__((noreturn)) static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

#define NOW(call, path, fails, failed) \
    switch (comes(call, path, fails)) { \
        case KILL: die(); \
        case FAIL: return failed; \
    }

/* Opening to write. */

static int writes(int flags) { return flags & (O_CREAT | O_TRUNC); }

#define MODE(flags, last) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
        va_list more; \
        va_start(more, last); \
        mode = va_arg(more, mode_t); \
        va_end(more); \
    }
#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        MODE(flags, flags) \
        if (writes(flags)) NOW("open", path, ALWAYS, -1) \
        return real(path, flags, mode); \
    }
#define OPENAT(name) \
    int name(int fd, const char *path, int flags, ...) { \
        char full[PATH_MAX]; \
        REAL(name); \
        MODE(flags, flags) \
        if (writes(flags)) NOW("open", at_fd(fd, path, full), ALWAYS, -1) \
        return real(fd, path, flags, mode); \
    }
#define FOPEN(name) \
    FILE *name(const char *path, const char *mode) { \
        REAL(name); \
        if (mode[0] != 'r') NOW("open", path, ALWAYS, NULL) \
        return real(path, mode); \
    }
OPEN(open) OPEN(open64) OPENAT(openat) OPENAT(openat64) FOPEN(fopen) FOPEN(fopen64)

/* Writing: by a kill in the middle. */

#define HALF(call, path, half) \
    switch (comes(call, path, ALWAYS)) { \
        case KILL: half; die(); \
        case FAIL: return -1; \
    }

ssize_t write(int fd, const void *data, size_t size) {
    char path[PATH_MAX];
    REAL(write);
    if (folder[0]) HALF("write", of_fd(fd, path), real(fd, data, size / 2))
    return real(fd, data, size);
}

#define PWRITE(name) \
    ssize_t name(int fd, const void *data, size_t size, off_t offset) { \
        char path[PATH_MAX]; \
        REAL(name); \
        if (folder[0]) HALF("write", of_fd(fd, path), real(fd, data, size / 2, offset)) \
        return real(fd, data, size, offset); \
    }
PWRITE(pwrite) PWRITE(pwrite64)

#define COPY(name, parameters, arguments, target) \
    ssize_t name parameters { \
        char path[PATH_MAX]; \
        REAL(name); \
        if (folder[0]) NOW("copy", of_fd(target, path), ALWAYS, -1) \
        return real arguments; \
    }
ssize_t sendfile(int, int, off_t *, size_t);
ssize_t sendfile64(int, int, off_t *, size_t);
COPY(sendfile, (int out, int in, off_t *offset, size_t size), (out, in, offset, size), out)
COPY(sendfile64, (int out, int in, off_t *offset, size_t size), (out, in, offset, size), out)
COPY(copy_file_range, (int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags),
     (in, from, out, to, size, flags), out)

size_t fwrite(const void *data, size_t size, size_t number, FILE *file) {
    char path[PATH_MAX];
    REAL(fwrite);
    if (folder[0]) switch (comes("write", of_fd(fileno(file), path), ALWAYS)) {
        case KILL: real(data, 1, size * number / 2, file), fflush_unlocked(file), die();
        case FAIL: return __fpurge(file), 0;
    }
    return real(data, size, number, file);
}

/* What is in the buffer of a file that fails is lost, as it would be. */
#define FLUSH(name) \
    int name(FILE *file) { \
        char path[PATH_MAX]; \
        REAL(name); \
        int waits = file && folder[0] && __fwriting(file) && __fpending(file); \
        switch (waits ? comes(#name, of_fd(fileno(file), path), ALWAYS) : NOTHING) { \
            case KILL: die(); \
            case FAIL: __fpurge(file), real(file), errno = failure; return EOF; \
        } \
        return real(file); \
    }
FLUSH(fflush) FLUSH(fclose)

#define ON_FD(name, parameters, arguments, fails) \
    int name parameters { \
        char path[PATH_MAX]; \
        REAL(name); \
        if (folder[0]) NOW(#name, of_fd(fd, path), fails, -1) \
        return real arguments; \
    }
ON_FD(fsync, (int fd), (fd), ALWAYS)
ON_FD(fdatasync, (int fd), (fd), ALWAYS)
ON_FD(ftruncate, (int fd, off_t size), (fd, size), NEVER)
ON_FD(ftruncate64, (int fd, off64_t size), (fd, size), NEVER)

/* Names. */

#define ON_PATH(name, parameters, arguments, path, fails) \
    int name parameters { \
        REAL(name); \
        NOW(#name, path, fails, -1) \
        return real arguments; \
    }
#define ON_PATH_AT(name, parameters, arguments, fd, path, fails) \
    int name parameters { \
        char full[PATH_MAX]; \
        REAL(name); \
        NOW(#name, at_fd(fd, path, full), fails, -1) \
        return real arguments; \
    }
ON_PATH(rename, (const char *from, const char *to), (from, to), to, AS_THE_FIRST)
ON_PATH(unlink, (const char *path), (path), path, NEVER)
ON_PATH(remove, (const char *path), (path), path, NEVER)
ON_PATH(rmdir, (const char *path), (path), path, NEVER)
ON_PATH(truncate, (const char *path, off_t size), (path, size), path, NEVER)
ON_PATH(mkdir, (const char *path, mode_t mode), (path, mode), path, ALWAYS)
ON_PATH(symlink, (const char *from, const char *to), (from, to), to, ALWAYS)
ON_PATH(link, (const char *from, const char *to), (from, to), to, ALWAYS)
ON_PATH_AT(renameat, (int from_fd, const char *from, int fd, const char *to), (from_fd, from, fd, to), fd, to, AS_THE_FIRST)
ON_PATH_AT(unlinkat, (int fd, const char *path, int flags), (fd, path, flags), fd, path, NEVER)
ON_PATH_AT(mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode), fd, path, ALWAYS)
