/* A system that fails at its n-th call: LD_PRELOAD=fault_shim.so, then fault_arm(n, errno) from within the process.
 *
 * Only calls about files below the folder FAULT_FOLDER are counted, and about descriptors that were opened there.
 * close() closes, and then says that it failed: so does Linux. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define DESCRIPTORS 65536

static char watched[DESCRIPTORS];
static long count = -1, fail_at = -1;
static int fail_with;
static const char *hit_name = "";

void fault_arm(long at, int error) { count = 0; fail_at = at; fail_with = error; hit_name = ""; }
const char *fault_hit(void) { count = -1; return hit_name; }

static int fails(const char *name) {
    if (count < 0 || count++ != fail_at) return 0;
    hit_name = name;
    errno = fail_with;
    return 1;
}

static int is_below(const char *path) {
    static const char *folder;
    if (!folder) folder = getenv("FAULT_FOLDER");
    return folder && path && strncmp(path, folder, strlen(folder)) == 0;
}

static int is_watched(int fd) { return fd >= 0 && fd < DESCRIPTORS && watched[fd]; }
static int is_at(int folder, const char *path) { return path && path[0] != '/' ? is_watched(folder) : is_below(path); }

static int opened(int fd, int here) {
    if (fd >= 0 && fd < DESCRIPTORS) watched[fd] = (char)here;
    return fd;
}

static int is_folder(int folder, const char *path, int flags) {
    struct stat status;
    return fstatat(folder, path, &status, flags) == 0 && S_ISDIR(status.st_mode);
}

static int fails_to_open(int folder, const char *path) {
    return fails(is_folder(folder, path, 0) ? "open of a folder" : "open");
}

#define REAL(type, name, parameters) \
    static type(*real) parameters;   \
    if (!real) real = (type(*) parameters)dlsym(RTLD_NEXT, #name)

#define OPEN(name)                                                   \
    int name(const char *path, int flags, ...) {                     \
        REAL(int, name, (const char *, int, ...));                   \
        va_list list;                                                \
        va_start(list, flags);                                       \
        mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;    \
        va_end(list);                                                \
        int here = is_below(path);                                   \
        if (here && fails_to_open(AT_FDCWD, path)) return -1;        \
        return opened(real(path, flags, mode), here);                \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                 \
    int name(int folder, const char *path, int flags, ...) {         \
        REAL(int, name, (int, const char *, int, ...));              \
        va_list list;                                                \
        va_start(list, flags);                                       \
        mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;    \
        va_end(list);                                                \
        int here = is_at(folder, path);                              \
        if (here && fails_to_open(folder, path)) return -1;          \
        return opened(real(folder, path, flags, mode), here);        \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int fd) {
    REAL(int, close, (int));
    int here = is_watched(fd);
    const char *name = is_folder(fd, "", AT_EMPTY_PATH) ? "close of a folder" : "close";
    opened(fd, 0);
    int result = real(fd);
    return here && fails(name) ? -1 : result;
}

int dup(int fd) {
    REAL(int, dup, (int));
    if (is_watched(fd) && fails("dup")) return -1;
    return opened(real(fd), is_watched(fd));
}

#define BY_DESCRIPTOR(type, name, parameters, arguments, told) \
    type name parameters {                                     \
        REAL(type, name, parameters);                          \
        if (is_watched(fd) && fails(told)) return -1;          \
        return real arguments;                                 \
    }
BY_DESCRIPTOR(ssize_t, read, (int fd, void *data, size_t size), (fd, data, size), "read")
BY_DESCRIPTOR(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size), "write")
BY_DESCRIPTOR(ssize_t, pread, (int fd, void *data, size_t size, off_t at), (fd, data, size, at), "read")
BY_DESCRIPTOR(ssize_t, pread64, (int fd, void *data, size_t size, off64_t at), (fd, data, size, at), "read")
BY_DESCRIPTOR(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at), "write")
BY_DESCRIPTOR(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at), "write")
BY_DESCRIPTOR(int, fsync, (int fd), (fd), "fsync")
BY_DESCRIPTOR(int, fdatasync, (int fd), (fd), "fsync")
BY_DESCRIPTOR(int, fchmod, (int fd, mode_t mode), (fd, mode), "fchmod")
BY_DESCRIPTOR(int, flock, (int fd, int how), (fd, how), "flock")
BY_DESCRIPTOR(int, ftruncate, (int fd, off_t size), (fd, size), "ftruncate")
BY_DESCRIPTOR(int, ftruncate64, (int fd, off64_t size), (fd, size), "ftruncate")

#define BY_PATH(name, parameters, arguments)         \
    int name parameters {                            \
        REAL(int, name, parameters);                 \
        if (is_below(path) && fails(#name)) return -1; \
        return real arguments;                       \
    }
BY_PATH(rename, (const char *path, const char *target), (path, target))
BY_PATH(link, (const char *path, const char *target), (path, target))
BY_PATH(unlink, (const char *path), (path))
BY_PATH(mkdir, (const char *path, mode_t mode), (path, mode))
BY_PATH(rmdir, (const char *path), (path))

int unlinkat(int folder, const char *path, int flags) {
    REAL(int, unlinkat, (int, const char *, int));
    if (is_at(folder, path) && fails("unlink")) return -1;
    return real(folder, path, flags);
}

int linkat(int from, const char *path, int to, const char *target, int flags) {
    REAL(int, linkat, (int, const char *, int, const char *, int));
    if (is_at(from, path) && fails("link")) return -1;
    return real(from, path, to, target, flags);
}
