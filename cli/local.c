/* A cluster of node processes on this machine; see local.h. */
#include "cli/local.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCAL_LOG_END_BYTES = 1500, LOCAL_CONF_BYTES_MAX = 64 * 1024 };

static int fail_path(const char *what, const char *path, struct err_info *info)
{
    return err_set(info, ERR_IO, "cannot %s %.300s: %s", what, path,
                   strerror(errno));
}

static int fail_long(struct err_info *info)
{
    return err_set(info, ERR_TOOBIG,
                   "the directory's path is longer than %d bytes; choose "
                   "another with --dir",
                   (int)LOCAL_PATH_MAX - 1);
}

/* The place used without --dir. */
static int default_dir(char *out, struct err_info *info)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int n;
    if (state != NULL && state[0] == '/') {
        n = snprintf(out, LOCAL_PATH_MAX, "%s/concordkv/local", state);
    } else if (home != NULL && home[0] == '/') {
        n = snprintf(out, LOCAL_PATH_MAX, "%s/.local/state/concordkv/local",
                     home);
    } else {
        return err_set(info, ERR_INVALID,
                       "HOME is not set; say where with --dir");
    }
    return n < LOCAL_PATH_MAX ? 0 : fail_long(info);
}

int local_init(struct local *l, const char *dir, struct err_info *info)
{
    memset(l, 0, sizeof(*l));
    l->lock_fd = -1;
    if (dir == NULL) {
        return default_dir(l->dir, info);
    }
    if (dir[0] == '\0' || strchr(dir, '\n') != NULL) {
        return err_set(info, ERR_INVALID, "--dir needs a directory's name");
    }
    int n;
    if (dir[0] == '/') {
        n = snprintf(l->dir, sizeof(l->dir), "%s", dir);
    } else {
        /* Nodes and later calls may run elsewhere: make it absolute. */
        char here[PATH_MAX];
        if (getcwd(here, sizeof(here)) == NULL) {
            return fail_path("find", "the working directory", info);
        }
        n = snprintf(l->dir, sizeof(l->dir), "%s/%s", here, dir);
    }
    return n < LOCAL_PATH_MAX ? 0 : fail_long(info);
}

char *local_path(const struct local *l, uint64_t node, const char *name,
                 char *out)
{
    snprintf(out, LOCAL_PATH_MAX + 64, "%s/node-%" PRIu64 "%s%s", l->dir, node,
             name[0] == '\0' ? "" : "/", name);
    return out;
}

static char *local_file(const struct local *l, const char *name, char *out)
{
    snprintf(out, LOCAL_PATH_MAX + 64, "%s/%s", l->dir, name);
    return out;
}

int local_load(struct local *l, struct err_info *info)
{
    char path[LOCAL_PATH_MAX + 64];
    char *text = malloc(LOCAL_CONF_BYTES_MAX);
    int rc = text == NULL ? ERR_NOMEM : 0;
    FILE *in = fopen(local_file(l, "cluster.conf", path), "re");
    if (in == NULL && errno == ENOENT) {
        rc = err_set(info, ERR_NOTFOUND,
                     "there is no local cluster in %.300s; make one with "
                     "'concordctl local up' or name another --dir",
                     l->dir);
    } else if (in == NULL) {
        rc = fail_path("open", path, info);
    } else if (rc == 0) {
        size_t n = fread(text, 1, LOCAL_CONF_BYTES_MAX - 1, in);
        text[n] = '\0';
        rc = ferror(in) ? fail_path("read", path, info)
                        : local_config_parse(&l->config, text, info);
    }
    if (in != NULL) {
        fclose(in);
    }
    free(text);
    return rc;
}

/* mkdir -p */
static int make_dirs(const char *path, struct err_info *info)
{
    char part[LOCAL_PATH_MAX + 64];
    size_t size = strlen(path);
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST) {
            return fail_path("make the directory", part, info);
        }
    }
    return 0;
}

int local_lock(struct local *l, struct err_info *info)
{
    char path[LOCAL_PATH_MAX + 64];
    int rc = make_dirs(l->dir, info);
    if (rc != 0) {
        return rc;
    }
    local_file(l, "lock", path);
    l->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (l->lock_fd < 0) {
        return fail_path("open", path, info);
    }
    if (flock(l->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        int code = errno == EWOULDBLOCK ? ERR_LOCKED : ERR_IO;
        local_unlock(l);
        return err_set(info, code,
                       "another 'concordctl local' is at work in %.300s; wait "
                       "for it or use another --dir",
                       l->dir);
    }
    return 0;
}

void local_unlock(struct local *l)
{
    if (l->lock_fd >= 0) {
        close(l->lock_fd);
        l->lock_fd = -1;
    }
}

int local_create(struct local *l, struct err_info *info)
{
    char path[LOCAL_PATH_MAX + 64];
    char temporary[LOCAL_PATH_MAX + 64];
    for (uint64_t node = 1; node <= l->config.n_nodes; node++) {
        int rc = make_dirs(local_path(l, node, "", path), info);
        if (rc != 0) {
            return rc;
        }
    }
    FILE *out = fopen(local_file(l, "cluster.conf.new", temporary), "we");
    if (out == NULL) {
        return fail_path("write", temporary, info);
    }
    local_config_print(&l->config, out);
    bool failed = fflush(out) != 0 || fsync(fileno(out)) != 0;
    failed = fclose(out) != 0 || failed;
    if (failed || rename(temporary, local_file(l, "cluster.conf", path)) != 0) {
        return fail_path("write", path, info);
    }
    return 0;
}

struct endpoint local_endpoint(const struct local *l, uint64_t node)
{
    struct endpoint e = {LOCAL_HOST,
                         (uint16_t)(l->config.client_port + node - 1)};
    return e;
}

void local_endpoints(const struct local *l, struct endpoint_list *out)
{
    out->n_items = 0;
    for (uint64_t node = 1; node <= l->config.n_nodes; node++) {
        out->items[out->n_items++] = local_endpoint(l, node);
    }
}

int local_find(const struct local *l, uint64_t node, struct process *p,
               struct err_info *info)
{
    char path[LOCAL_PATH_MAX + 64];
    int rc = process_load(p, local_path(l, node, "pid", path), info);
    if (rc == 0 && !process_is_alive(p)) {
        rc = err_set(info, ERR_NOTFOUND, "node %" PRIu64 " is not running",
                     node);
    }
    return rc;
}

static int check_port(uint64_t port, const char *what, uint64_t node,
                      const char *option, struct err_info *info)
{
    struct sockaddr_in address;
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    inet_pton(AF_INET, LOCAL_HOST, &address.sin_addr);
    /* As a server does it: a port in TIME_WAIT is free. Linux still refuses
     * one that somebody listens on. */
    bool failed =
        fd < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0;
    int why = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (!failed) {
        return 0;
    }
    return err_set(info, ERR_BUSY,
                   "port %" PRIu64 " (%s port of node %" PRIu64
                   ") cannot be used: %s; choose other ports with %s",
                   port, what, node, strerror(why), option);
}

int local_check_ports(const struct local *l, uint64_t node,
                      struct err_info *info)
{
    int rc = check_port(l->config.client_port + node - 1, "client", node,
                        "--port", info);
    return rc != 0 ? rc
                   : check_port(l->config.peer_port + node - 1, "peer", node,
                                "--peer-port", info);
}

/* "1=host:port,2=host:port,..."; given. */
static char *initial_cluster(const struct local *l)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return NULL;
    }
    for (uint64_t node = 1; node <= l->config.n_nodes; node++) {
        fprintf(out, "%s%" PRIu64 "=" LOCAL_HOST ":%" PRIu64,
                node > 1 ? "," : "", node, l->config.peer_port + node - 1);
    }
    fclose(out);
    return text;
}

int local_start(const struct local *l, uint64_t node, struct err_info *info)
{
    char id[32];
    char client[64];
    char peer[64];
    char data[LOCAL_PATH_MAX + 64];
    char log[LOCAL_PATH_MAX + 64];
    char pid[LOCAL_PATH_MAX + 64];
    char *cluster = initial_cluster(l);
    char *args[16 + LOCAL_EXTRA_MAX];
    size_t n = 0;
    if (cluster == NULL) {
        return err_set(info, ERR_NOMEM, "out of memory");
    }
    snprintf(id, sizeof(id), "%" PRIu64, node);
    snprintf(client, sizeof(client), LOCAL_HOST ":%" PRIu64,
             l->config.client_port + node - 1);
    snprintf(peer, sizeof(peer), LOCAL_HOST ":%" PRIu64,
             l->config.peer_port + node - 1);
    local_path(l, node, "data", data);
    char *words[] = {(char *)l->config.server,
                     "--id",
                     id,
                     "--data-dir",
                     data,
                     "--listen-client",
                     client,
                     "--listen-peer",
                     peer,
                     "--advertise-client",
                     client,
                     "--advertise-peer",
                     peer,
                     "--initial-cluster",
                     cluster};
    for (; n < sizeof(words) / sizeof(words[0]); n++) {
        args[n] = words[n];
    }
    for (size_t i = 0; i < l->config.n_extra; i++) {
        args[n++] = (char *)l->config.extra[i];
    }
    args[n] = NULL;
    int rc = process_start(args, local_path(l, node, "log", log),
                           local_path(l, node, "pid", pid), info);
    free(cluster);
    return rc;
}

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           access(path, X_OK) == 0;
}

/* path made absolute, if it is a program. */
static bool take_program(const char *path, char *out)
{
    char full[PATH_MAX];
    if (!is_program(path) || realpath(path, full) == NULL ||
        strlen(full) >= LOCAL_PATH_MAX || strchr(full, '\n') != NULL) {
        return false;
    }
    strcpy(out, full);
    return true;
}

int local_find_server(const char *wanted, char *out, struct err_info *info)
{
    /* Installed together; or a build tree, where each floor has a folder. */
    static const char *const places[] = {"concordkv", "../node/concordkv"};
    char self[PATH_MAX];
    char path[PATH_MAX + 32];
    const char *source = "--server";
    if (wanted == NULL) {
        wanted = getenv("CONCORDKV_SERVER");
        source = "CONCORDKV_SERVER";
    }
    if (wanted != NULL && wanted[0] != '\0') {
        return take_program(wanted, out)
                   ? 0
                   : err_set(info, ERR_NOTFOUND,
                             "%s: %.300s is no program that can be run", source,
                             wanted);
    }
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[n < 0 ? 0 : n] = '\0';
    char *slash = strrchr(self, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", self, places[i]);
        if (take_program(path, out)) {
            return 0;
        }
    }
    return err_set(info, ERR_NOTFOUND,
                   "no concordkv program in %.300s; name it with --server",
                   self);
}

void local_print_log_end(const struct local *l, uint64_t node, FILE *out)
{
    char path[LOCAL_PATH_MAX + 64];
    char text[LOCAL_LOG_END_BYTES + 1];
    FILE *in = fopen(local_path(l, node, "log", path), "re");
    if (in == NULL) {
        return;
    }
    bool cut = fseek(in, -(long)LOCAL_LOG_END_BYTES, SEEK_END) == 0;
    if (!cut) {
        rewind(in);
    }
    size_t n = fread(text, 1, LOCAL_LOG_END_BYTES, in);
    fclose(in);
    text[n] = '\0';
    char *at = cut ? strchr(text, '\n') : text;
    at = at == NULL ? text : at;
    fprintf(out, "the end of %s:\n", path);
    for (char *line = strtok(at, "\n"); line != NULL;
         line = strtok(NULL, "\n")) {
        char shown[400];
        fprintf(out, "  %s\n",
                err_escape(shown, sizeof(shown), line, strlen(line)));
    }
}
