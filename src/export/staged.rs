//! Files that appear all at once: written beside their place, flushed to the disk, then given their name.
//!
//! Until [`StagedFile::commit`] the target is as it was. On Linux the new file has no name before that, so that even a killed
//! program leaves nothing behind; elsewhere, and on file systems without unnamed files, it is a hidden file beside the target
//! that is removed when it is not committed.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::{TempDir, TempPath};

/// A file on its way to its name.
#[derive(Debug)]
pub struct StagedFile {
    file: File,
    place: Place,
    target: PathBuf,
}

#[derive(Debug)]
enum Place {
    #[cfg(target_os = "linux")]
    Unnamed,
    Named(TempPath),
}

impl StagedFile {
    /// A new, empty file for `target`, whose folder must exist.
    pub fn create(target: &Path) -> io::Result<Self> {
        // A link is followed: what it points at is replaced.
        let target = match fs::symlink_metadata(target) {
            Ok(metadata) if metadata.is_symlink() => fs::canonicalize(target)?,
            _ => target.to_owned(),
        };
        let folder = folder_of(&target);
        #[cfg(target_os = "linux")]
        if let Some(file) = unnamed(folder) {
            return Ok(Self { file, place: Place::Unnamed, target });
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666)); // the system takes away what the user's mask says
        }
        let (file, path) = builder.tempfile_in(folder)?.into_parts();
        Ok(Self { file, place: Place::Named(path), target })
    }

    /// Where it can be read before it has its name.
    pub fn reading_path(&self) -> PathBuf {
        match &self.place {
            #[cfg(target_os = "linux")]
            Place::Unnamed => descriptor(&self.file),
            Place::Named(path) => path.to_path_buf(),
        }
    }

    /// Waits until its bytes are on the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Gives it its name. Where there is a file of that name already, it is replaced in one step, or an error when
    /// `replace` is false.
    pub fn commit(self, replace: bool) -> io::Result<()> {
        let Self { file, place, target } = self;
        if let Ok(old) = fs::metadata(&target)
            && replace
        {
            file.set_permissions(old.permissions())?;
        }
        match place {
            #[cfg(target_os = "linux")]
            Place::Unnamed => link(&file, &target, replace)?,
            Place::Named(path) if replace => path.persist(&target).map_err(|error| error.error)?,
            Place::Named(path) => path.persist_noclobber(&target).map_err(|error| error.error)?,
        }
        sync_folder(folder_of(&target))
    }
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for StagedFile {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// How hidden files beside the target begin.
pub(super) const PREFIX: &str = ".ckptscope-";

/// The folder that holds a path.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Gives a folder the name `target`. A folder of that name is replaced: in one step where the system can exchange two, so
/// that one of them is there at any moment.
pub(super) fn rename_folder(folder: TempDir, target: &Path) -> io::Result<()> {
    if fs::symlink_metadata(target).is_err() {
        fs::rename(folder.path(), target)?;
        let _ = folder.keep(); // it has another name now
        return Ok(());
    }
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        if renameat_with(CWD, folder.path(), CWD, target, RenameFlags::EXCHANGE).is_ok() {
            return folder.close(); // the old one, now
        }
    }
    let old = tempfile::Builder::new().prefix(PREFIX).tempdir_in(folder_of(target))?;
    let aside = old.path().join("old");
    fs::rename(target, &aside)?;
    if let Err(error) = fs::rename(folder.path(), target) {
        fs::rename(&aside, target)?;
        return Err(error);
    }
    let _ = folder.keep();
    Ok(())
}

/// Makes names that were given in a folder survive a loss of power.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    let _ = folder;
    Ok(())
}

/// Bytes that may still be written to the file system of a folder; `None` where the system does not tell.
pub(super) fn free_bytes(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let found = rustix::fs::statvfs(folder).ok()?;
        // Some network file systems answer zero for everything.
        (found.f_blocks > 0).then(|| found.f_bavail.saturating_mul(found.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}

/// A file without a name; `None` where the file system has no such thing.
#[cfg(target_os = "linux")]
fn unnamed(folder: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(folder, flags, Mode::from_raw_mode(0o666)).ok()?);
    // Its name is given through this path, and a sandbox may lack it.
    fs::metadata(descriptor(&file)).is_ok().then_some(file)
}

#[cfg(target_os = "linux")]
fn descriptor(file: &File) -> PathBuf {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// Gives an unnamed file a name. See `open(2)`, `O_TMPFILE`.
#[cfg(target_os = "linux")]
fn link(file: &File, target: &Path, replace: bool) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    let link_as = |name: &Path| linkat(CWD, descriptor(file), CWD, name, AtFlags::SYMLINK_FOLLOW);
    match link_as(target) {
        Ok(()) => return Ok(()),
        Err(rustix::io::Errno::EXIST) if replace => {}
        Err(error) => return Err(error.into()),
    }
    // A link never replaces a name; a renaming does. The name between the two lives for one system call.
    let between =
        tempfile::Builder::new().prefix(PREFIX).make_in(folder_of(target), |path| Ok(link_as(path)?))?;
    let ((), path) = between.into_parts();
    path.persist(target).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_name_only_when_it_is_committed() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("x");
        let mut staged = StagedFile::create(&target).expect("a staged file");
        staged.write_all(b"new").expect("writes");
        assert!(!target.exists());
        assert_eq!(fs::read(staged.reading_path()).expect("reads"), b"new");
        staged.commit(false).expect("commits");
        assert_eq!(fs::read(&target).expect("reads"), b"new");

        let mut second = StagedFile::create(&target).expect("a staged file");
        second.write_all(b"newer").expect("writes");
        assert!(second.commit(false).is_err(), "an existing file was replaced without leave");
        let mut third = StagedFile::create(&target).expect("a staged file");
        third.write_all(b"newest").expect("writes");
        third.commit(true).expect("commits");
        assert_eq!(fs::read(&target).expect("reads"), b"newest");
        assert_eq!(fs::read_dir(folder.path()).expect("lists").count(), 1, "something was left beside it");
    }

    #[test]
    fn what_is_not_committed_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut staged = StagedFile::create(&folder.path().join("x")).expect("a staged file");
        staged.write_all(b"half").expect("writes");
        drop(staged);
        assert_eq!(fs::read_dir(folder.path()).expect("lists").count(), 0);
    }

    #[test]
    fn a_link_stays_and_what_it_points_at_is_replaced() {
        #[cfg(unix)]
        {
            let folder = tempfile::tempdir().expect("a folder");
            let (real, link) = (folder.path().join("real"), folder.path().join("link"));
            fs::write(&real, b"old").expect("writes");
            std::os::unix::fs::symlink(&real, &link).expect("links");
            let mut staged = StagedFile::create(&link).expect("a staged file");
            staged.write_all(b"new").expect("writes");
            staged.commit(true).expect("commits");
            assert!(fs::symlink_metadata(&link).expect("is there").is_symlink());
            assert_eq!(fs::read(&real).expect("reads"), b"new");
        }
    }
}
