#include "pipeline/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/strings.h"

namespace espalier {
namespace {

Status ErrnoStatus(const std::string& path, const char* what) {
  return IoError(StrCat(path, ": ", what, ": ", std::strerror(errno)));
}

// " (process 123)", or "" if the holder has not written its id yet.
std::string Holder(int fd) {
  char text[24];
  const ssize_t count = ::pread(fd, text, sizeof(text), 0);
  std::string id(text, static_cast<size_t>(count < 0 ? 0 : count));
  id.resize(std::min(id.find_first_not_of("0123456789"), id.size()));
  return id.empty() ? "" : " (process " + id + ")";
}

Status WriteId(int fd, const std::string& path) {
  const std::string id = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd, 0) != 0 ||
      ::pwrite(fd, id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) {
    return ErrnoStatus(path, "cannot write");
  }
  return Ok();
}

}  // namespace

Result<RunLock> RunLock::Acquire(const std::string& run_dir) {
  const std::string path = run_dir + "/.lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(path, "cannot open");
  RunLock lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(path, "cannot lock");
    return IoError(
        StrCat(run_dir, ": another espalier", Holder(fd), " is running a recipe in this folder"));
  }
  ESPALIER_RETURN_IF_ERROR(WriteId(fd, path));
  return lock;
}

RunLock::~RunLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace espalier
