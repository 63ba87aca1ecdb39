/**
 * The part of the global `wx` that is used, so that the package needs no typings of its own and a test can
 * hand in another one. The real `wx` of miniprogram-api-typings is assignable to it.
 */
export interface Wx {
  env: { USER_DATA_PATH: string }
  request(o: {
    url: string
    method?: any
    header?: Record<string, string>
    data?: string | ArrayBuffer
    timeout?: number
    dataType?: any
    success?(r: { statusCode: number; data: any; header: Record<string, any> }): void
    fail?(e: { errMsg: string }): void
  }): { abort(): void }
  uploadFile(o: {
    url: string
    filePath: string
    name: string
    formData?: Record<string, string>
    timeout?: number
    success?(r: { statusCode: number; data: string }): void
    fail?(e: { errMsg: string }): void
  }): {
    abort(): void
    onProgressUpdate(listener: (p: { totalBytesSent: number; totalBytesExpectedToSend: number }) => void): void
  }
  getFileSystemManager(): {
    getFileInfo(o: { filePath: string; digestAlgorithm?: 'md5' | 'sha1' | 'sha256'; success?(r: { size: number; digest?: string }): void; fail?(e: { errMsg: string }): void }): void
    writeFile(o: { filePath: string; data: ArrayBuffer; success?(r: any): void; fail?(e: { errMsg: string }): void }): void
    unlink(o: { filePath: string }): void
    readFile(o: { filePath: string; position?: number; length?: number; success?(r: { data: any }): void; fail?(e: { errMsg: string }): void }): void
  }
  getNetworkType(o: { success?(r: { networkType: string }): void; fail?(e: { errMsg: string }): void }): void
  onNetworkStatusChange(listener: (r: { isConnected: boolean }) => void): void
  offNetworkStatusChange?(listener: any): void
  login(o: { success?(r: { code: string }): void; fail?(e: { errMsg: string }): void }): void
  chooseMedia(o: any): any
  chooseMessageFile(o: any): any
  compressImage(o: any): any
  getStorageSync(key: string): any
  setStorageSync(key: string, data: any): void
  removeStorageSync(key: string): void
}

/** Makes a promise of one of wx's calls with callbacks. */
export const promised = <T>(call: (o: { success(r: T): void; fail(e: { errMsg: string }): void }) => void): Promise<T> =>
  new Promise((success, fail) => call({ success, fail }))
