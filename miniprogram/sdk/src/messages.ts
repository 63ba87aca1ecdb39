import type { ErrorCode } from './core/errors.js'

// For the option `messages`; an application may as well hand in its own table.

/** Chinese. */
export const zh: Record<ErrorCode, string> = {
  aborted: '已取消',
  network: '网络不稳定，请重试',
  timeout: '上传超时，请重试',
  domain: '域名不在小程序的合法域名列表中',
  unreadable: '文件无法读取，请重新选择',
  auth: '登录已失效，请重新登录',
  denied: '没有上传权限',
  tooLarge: '文件太大',
  tooSmall: '文件太小',
  type: '不支持的文件类型',
  quota: '已达上传限额，请稍后再试',
  rejected: '文件未被接受',
  expired: '上传授权已过期，请重试',
  server: '服务繁忙，请稍后重试',
}

/** English. */
export const en: Record<ErrorCode, string> = {
  aborted: 'Cancelled',
  network: 'Unstable network, try again',
  timeout: 'Timed out, try again',
  domain: 'Domain is not on the allow list of the mini-program',
  unreadable: 'File cannot be read, choose it again',
  auth: 'Please sign in again',
  denied: 'You may not upload here',
  tooLarge: 'File is too large',
  tooSmall: 'File is too small',
  type: 'Type is not accepted',
  quota: 'Upload limit reached, try again later',
  rejected: 'File was not accepted',
  expired: 'Permission to upload expired, try again',
  server: 'Service is busy, try again later',
}
