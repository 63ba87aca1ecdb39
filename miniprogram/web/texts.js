const zh = {
  title: '上传文件',
  subtitle: '文件直接进入对象存储，不经过应用服务器',
  drop: '拖放文件到这里，或点击选择',
  paste: '也可以直接粘贴截图；大文件中断后，重新选择即可继续',
  pause: '暂停',
  resume: '继续',
  retry: '重试',
  retryAll: '全部重试',
  cancel: '取消',
  waiting: '等待中',
  uploading: '上传中',
  paused: '已暂停',
  uploaded: '已上传',
  instant: '秒传',
  aborted: '已取消',
  offline: '网络已断开，恢复后自动继续',
  left: s => (s < 60 ? `剩余 ${s} 秒` : `剩余 ${Math.ceil(s / 60)} 分钟`),
  count: (done, n) => `${done} / ${n} 个文件`,
}

const en = {
  title: 'Upload files',
  subtitle: 'Straight into object storage, past the application server',
  drop: 'Drop files here, or click to choose',
  paste: 'Paste works too. Choose a large file again to go on where it stopped',
  pause: 'Pause',
  resume: 'Resume',
  retry: 'Retry',
  retryAll: 'Retry all',
  cancel: 'Cancel',
  waiting: 'Waiting',
  uploading: 'Uploading',
  paused: 'Paused',
  uploaded: 'Uploaded',
  instant: 'Instant',
  aborted: 'Cancelled',
  offline: 'No network, goes on by itself',
  left: s => (s < 60 ? `${s} s left` : `${Math.ceil(s / 60)} min left`),
  count: (done, n) => `${done} of ${n} files`,
}

/** Chinese for any zh, else English. */
export const textsFor = language => (/^zh/i.test(language) ? zh : en)
