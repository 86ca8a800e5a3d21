// Preloaded into every child of the supervisor: when the supervisor is gone, even by SIGKILL, the channel to it closes,
// and the child stops the way it does on SIGTERM instead of serving on with nobody to look after it.
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
// The listener would keep the process alive after it has drained.
process.channel?.unref();
