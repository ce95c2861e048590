#include "bridges/sql/group.hpp"

namespace cartwright::sql {

namespace {

bool write_in_one_go(Database& database, std::vector<Job>& jobs) {
  try {
    for (Job& job : jobs)
      if (job.write && job.write(database) == Verdict::undo) return false;
    return true;
  } catch (const std::exception& error) {
    if (database.fault(error).broken) throw;
    return false;
  }
}

void write_one_by_one(Database& database, std::vector<Job>& jobs) {
  for (Job& job : jobs) {
    if (!job.write) continue;
    database.savepoint();
    try {
      if (job.write(database) == Verdict::undo) {
        database.rollback_to_savepoint();
        if (job.undone) job.undone(database);
      }
    } catch (const std::exception& error) {
      const Fault fault = database.fault(error);
      if (fault.broken) throw;
      job.failure = database.explain("writing one request", fault.text + "; nothing of it is stored");
      database.rollback_to_savepoint();
    }
    database.release_savepoint();
  }
}

bool write(Database& database, std::vector<Job>& jobs, std::string& why, Outlook& outlook) {
  std::size_t count = 0;
  for (const Job& job : jobs) count += job.write ? 1 : 0;
  if (count == 0) return true;
  if (!database.connected(why)) return false;
  const std::string doing = "writing " + std::to_string(count) + " requests";
  try {
    database.begin();
    if (!write_in_one_go(database, jobs)) {
      database.rollback();
      if (!database.connected(why)) return false;
      database.begin();
      write_one_by_one(database, jobs);
    }
    outlook = Outlook::perhaps;
    database.commit();
    return true;
  } catch (const std::exception& error) {
    why = database.explain(doing, database.fault(error).text + (outlook == Outlook::perhaps ? "; it may be stored" : "; nothing of it is stored") +
                                      "; hand it in again");
    database.rollback();
    // A connection that has failed once is not trusted again: what the next one reads is what is stored.
    database.disconnect();
    return false;
  }
}

}  // namespace

void answer(Database& database, Job& job) {
  std::string why;
  try {
    if (database.connected(why)) {
      job.read(database);
      return job.deliver();
    }
  } catch (const std::exception& error) {
    const Fault fault = database.fault(error);
    why = database.explain("reading", fault.text + "; ask again");
    database.rollback();
    if (fault.broken) database.disconnect();
  }
  job.refuse(why, Outlook::perhaps);  // what it wrote before it read is committed
}

bool run_group(Database& database, std::vector<Job>& jobs) {
  std::string why;
  Outlook outlook = Outlook::nothing;
  const bool written = write(database, jobs, why, outlook);
  for (Job& job : jobs) {
    if (!job.write) continue;
    if (!written || !job.failure.empty())
      job.failure.empty() ? job.refuse(why, outlook) : job.refuse(job.failure, Outlook::nothing);
    else if (!job.read)
      job.deliver();
  }
  for (Job& job : jobs)
    if (job.read && (!job.write || (written && job.failure.empty()))) answer(database, job);
  return written;
}

}  // namespace cartwright::sql
