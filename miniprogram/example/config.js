// The one file to change: where your tenant's signer is, and what the page may pick.
module.exports = {
  // status.signer.url of your UploadTenant; its host belongs on the "request" domain list of the mini-program,
  // the host of the bucket (status.bucket.uploadHost) on the "uploadFile" list.
  endpoint: 'https://upload.example.com/family/album',
  // Files in flight at once, 1 to 10.
  concurrency: 3,
  // Pictures at one go; wx.chooseMedia takes up to 20.
  pickCount: 20,
  // Sizes of pictures above this are reduced before upload; 0 sends originals.
  compressOverBytes: 0,
}
