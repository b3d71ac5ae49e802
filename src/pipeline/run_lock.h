// RunLock: one run folder is used by one recipe run at a time.
#ifndef ESPALIER_PIPELINE_RUN_LOCK_H_
#define ESPALIER_PIPELINE_RUN_LOCK_H_

#include <string>
#include <utility>

#include "base/status.h"

namespace espalier {

// Holds RUN/.lock with flock(2) as long as it lives. The kernel lets go of it when the process
// ends, however it ends, so the file stays and says nothing by being there. It holds the id of the
// process that had the lock last.
class RunLock {
 public:
  // Precondition: the folder is there. Errors: kIo if the file cannot be made or locked, or if
  // another run holds it, naming its process.
  static Result<RunLock> Acquire(const std::string& run_dir);

  RunLock(RunLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  RunLock& operator=(RunLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~RunLock();

 private:
  explicit RunLock(int fd) : fd_(fd) {}

  int fd_;  // -1: moved from
};

}  // namespace espalier

#endif  // ESPALIER_PIPELINE_RUN_LOCK_H_
